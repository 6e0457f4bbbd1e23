# $1 is how many versions of the package stay: 0 when it is removed.
if [ "$1" -eq 0 ] && command -v systemctl >/dev/null; then
    systemctl --no-reload disable {{.Name}}.service || :
    if [ -d /run/systemd/system ]; then
        systemctl stop {{.Name}}.service || :
    fi
fi
