#!/usr/bin/env bash
# Asks dualbusd how it is: exit status 0 when the admin port answers 200. Needs nothing but bash.
#
#   healthcheck.sh [PORT] [PATH] [ADDRESS]     default: 9121 /healthz 127.0.0.1
set -euo pipefail

port=${1:-9121} path=${2:-/healthz} address=${3:-127.0.0.1}

exec 3<>"/dev/tcp/$address/$port"
printf 'GET %s HTTP/1.1\r\nHost: %s:%s\r\nConnection: close\r\n\r\n' "$path" "$address" "$port" >&3
read -r -t 3 _ status _ <&3
read -r -t 3 -d '' _ <&3 || true # to the end of the answer, so that the close is a clean one
[ "$status" = 200 ]
