#!/bin/sh
# Runs a command (the arguments) and starts it again at once whenever it ends, until SIGTERM: what stands beside NGINX
# and HAProxy, which start nobody.
child=
trap 'trap "" TERM; [ -z "$child" ] || kill -TERM "$child" 2>/dev/null; wait; exit 0' TERM
while :; do
  "$@" &
  child=$!
  wait "$child"
done
