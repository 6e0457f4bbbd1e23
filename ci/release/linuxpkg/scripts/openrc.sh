#!/sbin/openrc-run
# {{.Name}}, made by slipway. Its configuration is {{.Configuration}}.

supervisor=supervise-daemon
command=/usr/bin/{{.Binary}}
command_args={{.Args}}
command_user={{.Account}}:{{.Account}}
directory=/var/lib/{{.Name}}
output_logger="logger -t {{.Name}}"
error_logger="logger -t {{.Name}}"
no_new_privs=yes
umask=0077
rc_ulimit="-n {{.Files}}"
respawn_delay=1
respawn_max=5
respawn_period=60
retry=TERM/{{.Grace}}/KILL/5

depend() {
    need net
}

start_pre() {
    checkpath --directory --owner {{.Account}}:{{.Account}} --mode 0700 /var/lib/{{.Name}}
{{- if ne .Port "0"}}
    export PORT={{.Port}}
{{- end}}
    if [ -r {{.Configuration}} ]; then
        set -a
        . {{.Configuration}}
        set +a
    fi
}
