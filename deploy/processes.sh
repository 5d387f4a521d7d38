#!/usr/bin/env bash
# Processes that a script starts, finds again later, and ends; and who listens where. To be sourced. The script has a
# folder $state for the processes' logs and IDs, a function say, and keeps its lock in file descriptor 9.
# shellcheck disable=SC2154

# When a process started, in clock ticks since boot: with the ID it names a process for good. Fails when there is none, or
# only its unreaped rest.
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
  setsid "$@" >>"$state/$service.log" 2>&1 </dev/null 9>&- &
  pid=$!
  echo "$pid $(start_time $pid || true)" >"$state/$service.pid"
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
