#!/bin/sh
rc-service --ifstarted {{.Name}} stop
rc-update --quiet --all delete {{.Name}}
exit 0
