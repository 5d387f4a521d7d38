#!/usr/bin/env bash
# The state folder of deploy/takeover.sh, from which a later run learns how far an earlier one was, and the lock against other runs.
# takeover.sh sources this file; it has the settings and functions.
# shellcheck disable=SC2034,SC2154

phases="none moving serving pushed returning leaving returned retiring retired"

phase_text() {
  printf '%s\n' "phase=$1" "port=$port" "new_port=$new_port" "host=$host" "daemon=$daemon" "password_file=$password_file" "rewrite=$rewrite"
}

# Fails unless there is room for everything that will be written. A disk that fills up later must not stop it half way.
check_room() {
  local folder=$state free
  until [ -d "$folder" ]; do folder=$(dirname "$folder"); done
  free=$(df -Pk "$folder" | awk 'NR == 2 { print $4 }')
  [ "${free:-0}" -ge 1024 ] || fail "only ${free:-0} KiB are free in $folder, 1024 are needed; nothing was changed"
}

# Every phase has a file of its own, so that remembering it is a rename, which needs no room.
prepare_phases() {
  local name
  mkdir -p "$state/phases" || fail "the state folder $state cannot be written to; nothing was changed"
  for name in $phases; do
    phase_text "$name" >"$state/phases/$name" || fail "the state folder $state cannot be written to; nothing was changed"
  done
}

remember() {
  phase=$1
  { phase_text "$1" >"$state/state.new" && mv -f "$state/state.new" "$state/state"; } 2>/dev/null || mv -f "$state/phases/$1" "$state/state" 2>/dev/null ||
    say "    $state cannot be written to: a later run will not know that this one came as far as '$1'"
}

recall() {
  local name value
  [ -r "$state/state" ] || return 0
  # The options of an earlier takeover count as long as it lasts.
  if grep -qxE 'phase=(none|returned)' "$state/state"; then
    phase=returned
    return
  fi
  while IFS='=' read -r name value; do
    case $name in
      phase | port | new_port | host | daemon | password_file) printf -v "$name" %s "$value" ;;
      rewrite) [ "$value" = no ] || rewrite=yes ;; # else the way back would leave what the way there has written
    esac
  done <"$state/state"
}

# Lines that are lost are missing in the report, and nowhere else.
note_moved() { { echo "$1" >>"$state/moved"; } 2>/dev/null || say "    $state cannot be written to: the report will not name all clients"; }

# claim PORT: a connection with a name, which lasts as long as this script, shows others that somebody is at work on this Redis,
# whatever their state folder is. The older one goes on.
claim() {
  local reply first name=dualbus-takeover:$$
  exec 8<>"/dev/tcp/$host/$1" || fail "no Redis answers on $host:$1"
  if [ -n "${REDISCLI_AUTH:-}" ]; then
    # shellcheck disable=SC2016 # $ is a part of the protocol
    (LC_ALL=C && printf '*2\r\n$4\r\nAUTH\r\n$%d\r\n%s\r\n' ${#REDISCLI_AUTH} "$REDISCLI_AUTH") >&8
    read -r -t 5 reply <&8 || true
  fi
  printf 'CLIENT SETNAME %s\r\n' "$name" >&8
  read -r -t 5 reply <&8 || true
  first=$(ask "$1" CLIENT LIST TYPE normal | sed -nE 's/^id=([0-9]+) .* name=dualbus-takeover:([0-9]+) .*/\1 \2/p' | sort -n | head -n 1)
  [ -z "$first" ] || [ "${first#* }" = $$ ] ||
    fail "another takeover.sh (process ${first#* }) is at work on the Redis on port $1: nothing was changed; see what it says"
  is_redis "$1" || fail "the Redis is not on port $1 any more: another takeover.sh has just moved it; nothing was changed"
}
