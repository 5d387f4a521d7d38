#!/usr/bin/env bash
# Puts dualbusd in the place of a Redis that serves a running fleet, and takes it back. docs/migration.md is the runbook.
set -euo pipefail

usage() {
  cat <<'USAGE'
usage: deploy/takeover.sh [options]              the daemon takes the Redis's port, the clients are moved to it
       deploy/takeover.sh --rollback [options]   the Redis gets its port and its clients back
       deploy/takeover.sh --retire [options]     the daemon goes on without the Redis, when that is drained

  --port N             the port that the clients use, where the old Redis listens now (6379)
  --new-port N         where the old Redis listens behind the daemon (6382)
  --host ADDRESS       an address of this machine at which the old Redis can be reached (127.0.0.1)
  --config FILE        the daemon's configuration, without the old Redis (config/dualbus.yaml)
  --daemon FILE        the daemon's program (build/release's, else the installed one)
  --password-file FILE the old Redis's password; its clients must not need it any more
  --state DIR          what was done, the daemon's configuration, log and process ID (build/takeover)
  --timeout SECONDS    --rollback waits so long until the new buses are drained, and a reload may take as long (600)
  --watch SECONDS      how long to look whether a client comes back to the old Redis (3)
  --rewrite            CONFIG REWRITE, so that the old Redis keeps its port when it restarts
  --force              go on in spite of what the checks object to
  --dry-run            check everything, change nothing (not with --rollback)

Status: 0 done; 1 not done, or something is left to be done by hand; 2 taken back or retired, but what is listed was left behind, or
the folder knows of no takeover.
USAGE
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=/usr/bin/python3 # Debian's, which has Debian's python3-yaml
export PYTHONDONTWRITEBYTECODE=1
port=6379 new_port=6382 host=127.0.0.1 timeout=600 watch=3
config=$root/config/dualbus.yaml daemon='' password_file='' state=$root/build/takeover
rewrite=no rewritten=yes force=no dry_run=no goal=forward
log='' phase=none paused=no step_started='' admin=''
unserved='' # while nobody serves the port on the way back: the configuration with which the daemon did
# shellcheck source=deploy/processes.sh
. "$root/deploy/processes.sh"
# shellcheck source=deploy/takeover/state.sh
. "$root/deploy/takeover/state.sh"
# shellcheck source=deploy/takeover/checks.sh
. "$root/deploy/takeover/checks.sh"
# shellcheck source=deploy/takeover/capacity.sh
. "$root/deploy/takeover/capacity.sh"
# shellcheck source=deploy/takeover/clients.sh
. "$root/deploy/takeover/clients.sh"
# shellcheck source=deploy/takeover/reload.sh
. "$root/deploy/takeover/reload.sh"

now_ms() { echo $((${EPOCHREALTIME//[!0-9]/} / 1000)); }
# The reader of the output, a terminal or a pipe, may be gone. The work under way goes on all the same.
say() {
  printf '%s %s\n' "$(date -u +%H:%M:%S.%3N)" "$*" 2>/dev/null || true
  # Neither does a disk that is full stop it.
  if [ -n "$log" ]; then { printf '%s %s\n' "$(date -u +%FT%T.%3NZ)" "$*" >>"$log"; } 2>/dev/null || true; fi
}
step() {
  end_step
  step_started=$(now_ms)
  say "==> $*"
}
end_step() {
  if [ -n "$step_started" ]; then say "    done after $(($(now_ms) - step_started)) ms"; fi
  step_started=''
}
fail() {
  say "takeover.sh: $*" >&2
  exit 1
}
tool() { "$python" "$root/deploy/takeover/tool.py" "$@"; }
# Says what comes in, line by line, with PREFIX. In a pipeline it is a process of its own, which has no traps yet.
indented() {
  local line
  trap : PIPE
  while IFS= read -r line; do say "    ${1:-}$line"; done
}
# Repeats a command's output; the status is the command's.
told() { "$@" 2>&1 | indented; }

# ---------------------------------------------------------------------- the daemon

# await SECONDS COMMAND...: until it succeeds; at once when the daemon has ended.
await() {
  local deadline=$(($(now_ms) + $1 * 1000))
  shift
  until "$@" >/dev/null 2>&1; do
    running_pid dualbusd >/dev/null && [ "$(now_ms)" -lt $deadline ] || return 1
    sleep 0.005
  done
}
accepts() { (exec 3<>"/dev/tcp/$host/$port"); }
is_on_old_redis() { ask "$new_port" CLIENT LIST | grep -qE " laddr=[^ ]*:$new_port .* name=dualbusd "; }

# start_daemon CONFIG SINCE: fails when it does not get ready; SINCE is when new connections began to be refused.
start_daemon() {
  launch dualbusd "$daemon" --config "$1"
  await 10 accepts || return 1
  say "    new connections were refused for $(($(now_ms) - $2)) ms"
  await 20 "$root/deploy/healthcheck.sh" "$admin_port" "/readyz?all" "$admin_host" || return 1
  [ "$phase" = retired ] || await 10 is_on_old_redis || return 1
  say "    dualbusd is ready (process $(running_pid dualbusd))"
}

ours_or_nobodys() {
  if ! running_pid dualbusd >/dev/null && is_taken "$port"; then
    fail "port $port is served$(who_listens "$port"), not by the dualbusd of $state: stop that first"
  fi
}

show_daemon_log() { tail -n 5 "$state/dualbusd.log" 2>/dev/null | indented '| ' || true; }

# set_port FROM TO: for a moment, connections that are being closed may keep a port busy.
set_port() {
  local reply='' attempt
  for attempt in $(seq 50); do
    reply=$(ask "$1" CONFIG SET port "$2")
    [ "$reply" != OK ] || return 0
    [ "$attempt" -eq 50 ] || sleep 0.1
  done
  say "    CONFIG SET port $2: $reply"
  return 1
}

put_back() {
  step "Putting everything back"
  end dualbusd 15
  if is_redis "$port" || set_port "$new_port" "$port"; then
    remember none
    forgive_calls
    say "    the old Redis serves port $port as before"
    stray_messages
  elif is_daemon "$port"; then
    say "    a dualbusd of somebody else serves port $port: nothing more is done"
    remember none
  else
    say "    DO THIS BY HAND: redis-cli -h $host -p $new_port CONFIG SET port $port"
  fi
  end_step
}

# rewrite_config PORT: the one that it has now.
rewrite_config() {
  local reply
  [ $rewrite = yes ] || return 0
  reply=$(ask "$1" CONFIG REWRITE)
  say "    CONFIG REWRITE: $reply"
  [ "$reply" != OK ] || return 0
  rewritten=no
  say "    DO THIS BY HAND: port $1 in $(ask "$1" INFO server | sed -nE 's/^config_file:([^\r]*)\r?$/\1/p')"
}
check_rewritten() { [ $rewritten = yes ] || fail "the old Redis has its new port, but its configuration file names another"; }

# ---------------------------------------------------------------------- forward

# Fails when one of them has died meanwhile.
both_serve() {
  running_pid dualbusd >/dev/null || {
    show_daemon_log
    fail "dualbusd has ended, nobody serves port $port: run this again, it starts the daemon"
  }
  is_redis "$new_port" || fail "the old Redis does not answer on $host:$new_port ($(ask "$new_port" INFO server | head -n 1 | cut -c1-100))." \
    "dualbusd serves, but what the old Redis holds cannot be reached: start it with --port $new_port, then run this again"
}

go_forward() {
  local since came_back=no
  case $phase in
    returning | leaving) fail "a rollback has begun: end it with --rollback first" ;;
    none | returned | moving)
      if [ "$phase" = moving ]; then
        [ $dry_run = no ] || fail "an earlier takeover broke off; run this again, or --rollback"
        [ ! -r "$state/dualbus.yaml" ] || read_config "$state/dualbus.yaml"
        put_back # of one that was killed
      fi
      if [ $dry_run = yes ]; then
        scratch=$(mktemp -d)
        check_everything "$scratch/dualbus.yaml"
        end_step
        say "Would move the Redis on port $port to $new_port, start $daemon on port $port, and close" \
          "$(counted "$(foreign "$port" | wc -l)" connection). Nothing was changed."
        return
      fi
      rm -f "$state/forward.yaml" # of a rollback that was killed at its very end
      check_everything "$state/dualbus.yaml"
      prepare_phases
      claim "$port"
      step "The old Redis goes to port $new_port, dualbusd comes to port $port"
      : >"$state/moved"
      remember moving
      since=$(now_ms)
      [ "$(ask "$port" CONFIG SET port "$new_port")" = OK ] || fail "the old Redis does not change its port"
      start_daemon "$state/dualbus.yaml" "$since" || {
        show_daemon_log
        fail "dualbusd does not get ready"
      }
      remember serving
      ;;
    *)
      [ $dry_run = no ] || fail "the daemon has taken over already; nothing to check"
      step "The daemon has taken over already"
      read_config "$(forward_config)"
      ours_or_nobodys
      settle
      running_pid dualbusd >/dev/null || start_daemon "$state/dualbus.yaml" "$(now_ms)" || fail "dualbusd does not get ready"
      if [ "$phase" = retired ]; then
        end_step
        say "dualbusd serves; the old Redis was retired."
        return
      fi
      ;;
  esac
  both_serve
  step "Clients of the old Redis are moved"
  push_clients
  rewrite_config "$new_port"
  step "Watching the old Redis for $watch s"
  watch_old_redis || came_back=yes
  both_serve
  remember pushed
  step "Report"
  say "    clients of dualbusd: $(tool metric "$admin" dualbus_clients), $(wc -l <"$state/moved") were moved;" \
    "other clients of the old Redis: $(foreign "$new_port" | wc -l)"
  told not_back
  say "    groups made on the new buses: $(($(tool metric "$admin" dualbus_groups_healed_total) + $(tool metric "$admin" dualbus_drain_healed_groups_total)))"
  told tool report "$admin"
  end_step
  both_serve
  check_rewritten
  [ $came_back = no ] || fail "not everybody has moved: find out who knows port $new_port, then run this again"
  say "Taken over. Configuration: $state/dualbus.yaml. docs/migration.md says what comes next."
}

# ---------------------------------------------------------------------- rollback

has_returned() {
  rewrite_config "$port"
  forgive_calls
  remember returned
  take_config_back
  unserved=''
}

go_back() {
  local status=0 since left=''
  case $phase in
    none | returned)
      say "Nothing to take back."
      return
      ;;
  esac
  [ $dry_run = no ] || fail "--rollback has no --dry-run"
  read_config "$(forward_config)"
  if [ "$phase" = retiring ]; then settle; fi
  [ "$phase" != retired ] || fail "the old Redis was retired: the daemon's configuration names it no more, and its slot is given up. There is no way" \
    "back to it; nothing was changed"
  if [ "$phase" = moving ]; then
    put_back
    return
  fi
  if [ "$phase" = leaving ] && is_redis "$port"; then
    has_returned # an earlier run broke off just then
    say "The old Redis has port $port already."
    check_rewritten
    return
  fi
  if ! [[ $phase =~ ^(returning|leaving)$ ]] || ! running_pid dualbusd >/dev/null; then
    turn_back
  fi
  step "Waiting until the other buses are drained, $timeout s at most; dualbusd serves meanwhile"
  told tool drained "$admin" "$timeout" || status=$?
  case $status in
    0) ;;
    2)
      [ $force = yes ] || fail "this would be left behind; look after it (docs/migration.md), then run --rollback again, or --force it"
      left=yes
      ;;
    3) left=yes ;;
    *)
      both_serve
      fail "not drained; dualbusd goes on serving, and --rollback can be run again"
      ;;
  esac
  step "dualbusd leaves, the old Redis goes back to port $port"
  since=$(now_ms)
  unserved=$state/dualbus.yaml
  [ -e "$state/forward.yaml" ] || unserved=$state/rollback.yaml # as an older takeover.sh has done it
  remember leaving
  end dualbusd 20
  set_port "$new_port" "$port" || fail "the old Redis does not take port $port"
  say "    new connections were refused for $(($(now_ms) - since)) ms"
  has_returned
  step "Report"
  sleep 1
  say "    clients of the old Redis: $(foreign "$port" | wc -l)"
  end_step
  check_rewritten
  if [ -n "$left" ]; then
    say "Taken back. The entries and keys above were left behind on the other buses: nobody gets them from the old Redis."
    exit 2
  fi
  say "Taken back. All that the other buses still hold was delivered; empty them before the next takeover."
}

# ---------------------------------------------------------------------- main

give_up() {
  local status=$?
  set +e # as far as it goes
  trap - EXIT
  trap '' INT TERM HUP
  [ -z "${scratch:-}" ] || rm -rf "$scratch"
  [ $paused = no ] || ask "$new_port" CLIENT UNPAUSE >/dev/null
  break_off_reload
  if [ $status -ne 0 ] && [ "$phase" = moving ] && [ -n "$log" ]; then put_back; fi
  if [ -n "$unserved" ] && ! is_redis "$port" && ! running_pid dualbusd >/dev/null; then
    say "Nobody serves port $port; dualbusd starts again"
    start_daemon "$unserved" "$(now_ms)" || say "    dualbusd does not run; run --rollback again"
  fi
  exit $status
}

while [ $# -gt 0 ]; do
  case $1 in
    -h | --help)
      usage
      exit 0
      ;;
    --rollback) goal=back ;;
    --retire) goal=retire ;;
    --rewrite) rewrite=yes ;;
    --force) force=yes ;;
    --dry-run) dry_run=yes ;;
    --port | --new-port | --timeout | --watch | --host | --config | --daemon | --password-file | --state)
      [ $# -ge 2 ] || fail "$1 needs a value"
      case $1 in
        *port) if ! [[ $2 =~ ^[1-9][0-9]{0,4}$ ]] || [ "$2" -gt 65535 ]; then fail "$1 $2: a port is a number from 1 to 65535"; fi ;;
        --timeout | --watch) [[ $2 =~ ^[0-9]{1,6}$ ]] || fail "$1 $2: a number of seconds" ;;
        --config | --password-file) [ -r "$2" ] || fail "$1 $2: no such file" ;;
        --daemon) [ -x "$2" ] || fail "--daemon $2: no such program" ;;
      esac
      case $1 in
        --port) port=$2 ;;
        --new-port) new_port=$2 ;;
        --timeout) timeout=$2 ;;
        --watch) watch=$2 ;;
        --host) host=$2 ;;
        --config) config=$2 ;;
        --daemon) daemon=$(realpath "$2") ;;
        --password-file) password_file=$(realpath "$2") ;;
        --state) state=$(realpath -ms "$2") ;;
      esac
      shift
      ;;
    *)
      usage >&2
      fail "unknown argument '$1'"
      ;;
  esac
  shift
done
[ "$port" != "$new_port" ] || fail "--port and --new-port are the same"
if [ $goal != forward ] && [ ! -e "$state/state" ]; then
  say "takeover.sh: nothing was ever taken over with the folder $state; --state names the one that the takeover was given" >&2
  exit 2
fi
trap give_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
trap : PIPE # not ignored: that would be inherited
if [ $dry_run = no ] || [ -e "$state" ]; then own_folder "$state"; fi
if [ $dry_run = no ]; then
  chmod 700 "$state"
  exec 9<"$state"
  # A child of a killed takeover.sh may hold it for a moment longer.
  flock -w 2 9 || fail "another takeover.sh is at work in $state"
  log=$state/takeover.log
  : >>"$state/moved"
fi
recall
if [ -n "$password_file" ]; then
  REDISCLI_AUTH=$(<"$password_file")
  export REDISCLI_AUTH
fi
case $goal in
  forward) go_forward ;;
  back) go_back ;;
  retire) retire ;;
esac
