#!/bin/sh
# Makes a container a machine: systemd as process 1, below a control group of its own, so that machines do not see each other's.
set -eu

if [ "${1:-}" != inside ]; then
    exec unshare --cgroup "$0" inside
fi

hostname "$(cat /etc/hostname)" || true
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=1777 tmpfs /tmp

id deploy >/dev/null 2>&1 || useradd --create-home --shell /bin/bash deploy
install -d -o deploy -g deploy -m 700 /home/deploy/.ssh
install -o deploy -g deploy -m 600 /root/.ssh/authorized_keys /home/deploy/.ssh/authorized_keys
echo 'deploy ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/deploy

# What a machine forbids, also where containers may do it.
echo 1024 >/proc/sys/net/ipv4/ip_unprivileged_port_start

# A kernel that starts systemd leaves it to share mounts; in a container it leaves them as they are, and credentials never appear.
mount --make-rshared /

export container=docker
umount -R /sys/fs/cgroup 2>/dev/null || true
if [ "$(stat -f -c %T /sys/fs/cgroup)" = cgroup2fs ] || mount -t cgroup2 cgroup2 /sys/fs/cgroup 2>/dev/null && [ -n "$(cat /sys/fs/cgroup/cgroup.controllers)" ]; then
    exec /lib/systemd/systemd
fi

# Version 1: systemd wants its own tree, and the memory controller for figures and limits.
umount /sys/fs/cgroup 2>/dev/null || true
mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
mkdir /sys/fs/cgroup/systemd /sys/fs/cgroup/memory
mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
mount -t cgroup -o memory cgroup /sys/fs/cgroup/memory
exec /lib/systemd/systemd systemd.unified_cgroup_hierarchy=0
