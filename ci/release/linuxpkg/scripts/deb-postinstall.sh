#!/bin/sh
set -e

case "$1" in
configure | abort-upgrade | abort-deconfigure | abort-remove)
    getent group {{.Account}} >/dev/null || groupadd --system {{.Account}}
    getent passwd {{.Account}} >/dev/null || useradd --system --gid {{.Account}} \
        --home-dir /var/lib/{{.Name}} --no-create-home --shell /usr/sbin/nologin {{.Account}}

    # A new service is enabled. One that an administrator disabled stays so.
    if deb-systemd-helper --quiet was-enabled {{.Name}}.service; then
        deb-systemd-helper enable {{.Name}}.service >/dev/null || true
    else
        deb-systemd-helper update-state {{.Name}}.service >/dev/null || true
    fi
    if [ -d /run/systemd/system ]; then
        action=start
        [ -z "$2" ] || action=restart # $2 is the version that was there before
        systemctl daemon-reload || true
        deb-systemd-invoke "$action" {{.Name}}.service || true
    fi
    ;;
esac
