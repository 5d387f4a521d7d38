#!/usr/bin/env bash
# Functions for processes that a script starts, finds again later, and ends, and for ports. To be sourced. The script has a
# folder $state for the processes' logs and IDs, functions say and fail, and keeps its lock in file descriptor 9.
# shellcheck disable=SC2154

# own_folder FOLDER: makes sure that nobody else has put anything into the folder, or can put another folder in its place, because
# the scripts end processes, run programs and remove files that it names. Makes the folder if it is missing.
own_folder() {
  local folder=$1 path mode owner found trusted
  trusted="0 $EUID $(stat -c %u "${BASH_SOURCE[0]}")"
  umask go-w
  for path in "$folder" "$(realpath -m "$folder")"; do
    while [ "$path" != / ]; do
      path=$(dirname "$path")
      read -r mode owner < <(stat -c '%a %u' "$path" 2>/dev/null) || continue
      [[ " $trusted " == *" $owner "* ]] ||
        fail "$path belongs to $(stat -c %U "$path"), who can put another folder in the place of $folder; choose one with --state"
      # In a sticky folder such as /tmp only owners rename. A link's own mode says nothing.
      [ -L "$path" ] || [ $((0$mode & 01002)) -ne 2 ] ||
        fail "everybody may write in $path, and so put another folder in the place of $folder: chmod o-w $path, or choose one with --state"
    done
  done
  [ ! -L "$folder" ] || fail "$folder is a symbolic link; name the folder itself with --state"
  if [ ! -e "$folder" ]; then
    mkdir -p "$(dirname "$folder")"
    mkdir -m 700 "$folder"
  fi
  [ -d "$folder" ] || fail "$folder is no folder; choose one with --state"
  # A file may disappear while find looks, if another script of ours is at work here.
  found=$(find "$folder" ! -user "$EUID" -print -quit || true)
  [ -z "$found" ] ||
    fail "${found@Q} belongs to $(stat -c %U "$found"), not to $(id -un): work as that user, or choose a folder with --state"
  found=$(find "$folder" ! -type f ! -type d ! -type s -print -quit || true)
  [ -z "$found" ] || fail "${found@Q} is a $(stat -c %F "$found"), no plain file: remove it, or choose a folder with --state"
  found=$(find "$folder" ! -type s -perm /022 -print -quit || true)
  [ -z "$found" ] ||
    fail "others may write to ${found@Q}: look what they have written, then chmod go-w it, or choose a folder with --state"
}

# Prints when a process started, in clock ticks since boot; together with the process ID this names one process for ever. Fails when
# there is no such process, or only a zombie.
start_time() {
  local stat fields
  { stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 1
  # After the name, which may contain anything: state, ppid, ... ; the start time is field 22 of the line.
  read -ra fields <<<"${stat##*) }"
  [ "${fields[0]}" != Z ] && [ "${fields[0]}" != X ] && echo "${fields[19]}"
}

# Prints the process ID of a service of ours that is alive.
running_pid() {
  local pid started
  read -r pid started 2>/dev/null <"$state/$1.pid" || return 1
  [[ $pid =~ ^[0-9]+$ && -n $started ]] && [ "$(start_time "$pid")" = "$started" ] && echo "$pid"
}

# launch SERVICE COMMAND...: in a session of its own, so that the terminal's signals do not reach it.
launch() {
  local service=$1 pid
  shift
  setsid "$@" >>"$state/$service.log" 2>&1 </dev/null 8>&- 9>&- &
  pid=$!
  # A process that nobody could find again must not stay. Descriptors 8 and 9 may hold locks.
  echo "$pid $(start_time $pid || true)" >"$state/$service.pid" || {
    kill -KILL "$pid" 2>/dev/null || true
    return 1
  }
}

# end SERVICE SECONDS: asks it to stop, and insists when the time is over.
end() {
  local service=$1 pid patience=$(($2 * 100))
  if pid=$(running_pid "$service"); then
    kill -TERM "$pid" 2>/dev/null || true
    while running_pid "$service" >/dev/null; do
      if [ $patience -eq 0 ]; then
        say "  $service (process $pid) does not stop; killing it"
        kill -KILL "$pid" 2>/dev/null || true
      fi
      patience=$((patience - 1))
      sleep 0.01
    done
    say "  $service stopped (process $pid)"
  fi
  rm -f "$state/$service.pid"
}

# Succeeds when something listens (state 0A) on the port of 127.0.0.1, ::1, or all addresses, as the kernel writes them.
is_taken() {
  local hex
  hex=$(printf '%04X' "$1")
  { awk '$4 == "0A" { print $2 }' /proc/net/tcp /proc/net/tcp6 2>/dev/null || true; } | grep -xF >/dev/null \
    -e "0100007F:$hex" -e "00000000:$hex" -e "00000000000000000000000001000000:$hex" \
    -e "00000000000000000000000000000000:$hex" -e "0000000000000000FFFF00000100007F:$hex"
}

who_listens() {
  command -v ss >/dev/null || return 0
  ss -Hltnp "sport = :$1" 2>/dev/null | sed -nE 's/.*users:\(\("([^"]*)",pid=([0-9]+).*/ by \1 (process \2)/p' | head -n 1
}
