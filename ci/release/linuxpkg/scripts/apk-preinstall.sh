#!/bin/sh
addgroup -S {{.Account}} 2>/dev/null
adduser -S -D -H -h /var/lib/{{.Name}} -s /sbin/nologin -G {{.Account}} {{.Account}} 2>/dev/null
exit 0
