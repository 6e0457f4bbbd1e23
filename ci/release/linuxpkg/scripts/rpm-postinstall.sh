# $1 is how many versions of the package there are now: 1 when it is new.
if [ "$1" -eq 1 ] && command -v systemctl >/dev/null; then
    systemctl --no-reload preset {{.Name}}.service || :
fi
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || :
fi
