getent group {{.Account}} >/dev/null || groupadd --system {{.Account}}
getent passwd {{.Account}} >/dev/null || useradd --system --gid {{.Account}} \
    --home-dir /var/lib/{{.Name}} --no-create-home --shell /sbin/nologin {{.Account}}
