#!/bin/sh
rc-service --ifstarted {{.Name}} restart
exit 0
