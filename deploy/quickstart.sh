#!/usr/bin/env bash
# Two Redis and dualbusd on this machine, with a short demo; for a fresh Debian 12 as root, or anywhere the packages are.
set -euo pipefail

usage() {
  cat <<'USAGE'
usage: deploy/quickstart.sh [start|stop|status] [options]

  start    installs what is missing, builds, starts two Redis and dualbusd, runs a demo, leaves them running (default)
  stop     ends exactly what start started, and removes what it kept
  status   says what runs, and shows the table

options for start:
  --port N                engines connect here (6379)
  --marketdata-port N     Redis of the marketdata bus (6380)
  --engine-logic-port N   Redis of the engine_logic bus (6381)
  --admin-port N          metrics, health, status page (9121)
  --seconds N             length of the demo (5)
  --daemon FILE           use this dualbusd instead of building one
option for all:
  --state DIR             where logs, data and process IDs are kept (build/quickstart)
USAGE
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
state=$root/build/quickstart
python=/usr/bin/python3 # Debian's, which has Debian's python3-redis
export PYTHONDONTWRITEBYTECODE=1
services=(marketdata engine-logic dualbusd)
port=6379 marketdata_port=6380 engine_logic_port=6381 admin_port=9121
seconds=5
daemon=

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
  bold=$'\e[1m' green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m' erase=$'\r\e[K'
else
  bold='' green='' red='' plain='' erase=''
fi

# shellcheck source=deploy/processes.sh
. "$root/deploy/processes.sh"

say() { printf '%s\n' "$*"; }
step() { printf '%s==>%s %s\n' "$green$bold" "$plain" "$*"; }
fail() {
  printf '%squickstart.sh: %s%s\n' "$red" "$*" "$plain" >&2
  exit 1
}

# ---------------------------------------------------------------------- processes

count_running() {
  local service count=0
  for service in "${services[@]}"; do
    if running_pid "$service" >/dev/null; then count=$((count + 1)); fi
  done
  echo $count
}

end_all() {
  end dualbusd 15
  end engine-logic 15
  end marketdata 30
}

# ---------------------------------------------------------------------- ports

check_ports() {
  local entry number option taken=0
  local -A used=()
  for entry in "$port --port" "$marketdata_port --marketdata-port" "$engine_logic_port --engine-logic-port" \
    "$admin_port --admin-port"; do
    read -r number option <<<"$entry"
    [ -z "${used[$number]:-}" ] || fail "${used[$number]} and $option are both $number; they must differ"
    used[$number]=$option
    if is_taken "$number"; then
      say "${red}port $number is taken$(who_listens "$number"); free it, or choose another with $option N$plain" >&2
      taken=1
    fi
  done
  [ $taken -eq 0 ] || fail "nothing was started"
}

# ---------------------------------------------------------------------- steps of start

# The log that explains a failure; its end is shown when start gives up.
telling_log=

install_packages() {
  step "Packages"
  telling_log=$state/install.log
  local groups=(demo)
  [ -n "$daemon" ] || groups=(build run demo)
  "$root/deploy/install-packages.sh" "${groups[@]}" 2>&1 | tee "$telling_log" | show_progress '^(Get|Unpacking|Setting up|installing)' ||
    fail "packages could not be installed"
}

# Repeats matching lines on one line of a terminal; silent otherwise.
show_progress() {
  local line
  while IFS= read -r line; do
    if [ -n "$erase" ] && [[ $line =~ $1 ]]; then printf '%s  %.100s' "$erase" "$line"; fi
  done
  printf '%s' "$erase"
}

build() {
  local jobs memory
  # The largest sources need about 1.5 GB each to compile.
  memory=$(awk '/^MemAvailable/ { print int($2 / 1572864) }' /proc/meminfo)
  jobs=$(nproc)
  if [ "${memory:-1}" -lt "$jobs" ]; then jobs=$((memory > 0 ? memory : 1)); fi
  step "Building dualbusd with $jobs processes (a few minutes the first time)"
  telling_log=$state/build.log
  (
    cd "$root" && cmake --preset release -DDUALBUS_BUILD_TESTS=OFF &&
      cmake --build --preset release --target dualbusd --parallel "$jobs"
  ) 2>&1 | tee "$telling_log" | show_progress '^\[[0-9]+/[0-9]+\]' || fail "the build failed"
  daemon=$(find "$root/build/release" -name dualbusd -type f -perm -u+x | head -n 1)
  [ -n "$daemon" ] || fail "the build left no dualbusd under build/release"
}

write_config() {
  config=$root/config/dualbus.yaml
  if [ "$port $marketdata_port $engine_logic_port $admin_port" != "6379 6380 6381 9121" ]; then
    "$python" "$root/deploy/quickstart/set_yaml_values.py" "$config" "$state/dualbus.yaml" "listen.port=$port" \
      "admin.port=$admin_port" "buses.marketdata.endpoint=127.0.0.1:$marketdata_port" \
      "buses.engine_logic.endpoint=127.0.0.1:$engine_logic_port" || fail "config/dualbus.yaml cannot be given other ports"
    config=$state/dualbus.yaml
  fi
  telling_log=$state/check-config.log
  "$daemon" --check-config "$config" >"$telling_log" 2>&1 || fail "$config is not accepted"
}

# wait_for SERVICE COMMAND...: until the command succeeds; fails at once when the process ends, or after 20 s.
wait_for() {
  local service=$1 deadline=$((SECONDS + 20))
  shift
  until "$@" >/dev/null 2>&1; do
    running_pid "$service" >/dev/null || fail "$service ended right after its start"
    [ $SECONDS -lt $deadline ] || fail "$service does not answer after 20 s"
    sleep 0.05
  done
}

redis_answers() { [ "$(redis-cli -p "$1" ping)" = PONG ]; }

start_redis() {
  local service=$1 number=$2 memory=$3
  telling_log=$state/$service.log
  mkdir -p "$state/$service"
  # Options behind the file name are stronger than the file: the fleet's sizes are not for a demo.
  launch "$service" redis-server "$root/deploy/redis-$service.conf" --port "$number" --maxmemory "$memory" \
    --dir "$state/$service"
  wait_for "$service" redis_answers "$number"
  say "  $service: port $number, maxmemory $memory"
}

start_daemon() {
  telling_log=$state/dualbusd.log
  launch dualbusd "$daemon" --config "$config"
  wait_for dualbusd "$root/deploy/healthcheck.sh" "$admin_port" "/readyz?all"
  say "  dualbusd: port $port, admin $admin_port, both buses reachable"
}

run_demo() {
  step "Demo: seven engines publish through port $port for $seconds s, a consumer on each bus checks what arrives"
  telling_log=$state/dualbusd.log
  "$python" "$root/deploy/quickstart/demo_publish.py" --seconds "$seconds" --port "$port" --marketdata-port "$marketdata_port" \
    --engine-logic-port "$engine_logic_port" --admin-port "$admin_port" || fail "the demo failed"
}

say_what_next() {
  local self=deploy/quickstart.sh
  [ "$state" = "$root/build/quickstart" ] || self="$self --state $state"
  cat <<NEXT

${bold}It runs. Try next:${plain}
  redis-cli -p $port XADD nautilus-risk-streams '*' message_type market_data payload '{"symbol":"AAPL"}'
  redis-cli -p $port XADD nautilus-risk-streams '*' message_type risk_metric payload '{"var":0.02}'
  redis-cli -p $port XLEN nautilus-risk-streams           # both, as the engines see it
  redis-cli -p $marketdata_port XRANGE nautilus-risk-streams - +     # the price, on the marketdata bus
  redis-cli -p $engine_logic_port XRANGE nautilus-risk-streams - +     # the risk, on the engine_logic bus

  http://127.0.0.1:$admin_port/metrics   for Prometheus; http://127.0.0.1:$admin_port/ to look at
  $self status
  $self stop
NEXT
}

# After a failure half way nothing stays behind but the logs, and the telling one is shown.
give_up() {
  local status=$?
  trap - EXIT INT TERM HUP
  [ $status -ne 0 ] || return 0
  printf '%s' "$erase"
  if [ -s "$telling_log" ] && [ $status -lt 128 ]; then
    say "--- the end of $telling_log:" >&2
    tail -n 20 "$telling_log" >&2
    say "---" >&2
  fi
  end_all >&2
  exit $status
}

# ---------------------------------------------------------------------- the three commands

# Two of us at the same state would see half of what the other does. The lock ends with this process.
lock_state() {
  own_folder "$state"
  exec 9<"$state"
  flock -n 9 || fail "another quickstart.sh is at work in $state"
  # Everything in here is removed in the end, so it must be ours.
  if [ ! -e "$state/settings" ] && [ -n "$(ls -A "$state")" ]; then
    fail "$state holds other files; choose an empty folder with --state"
  fi
}

write_settings() { echo "$port $marketdata_port $engine_logic_port $admin_port" >"$state/settings"; }

read_settings() {
  [ -r "$state/settings" ] || return 1
  read -r port marketdata_port engine_logic_port admin_port <"$state/settings"
}

start() {
  lock_state
  case $(count_running) in
    3)
      read_settings
      say "Already running: dualbusd on port $port, buses on $marketdata_port and $engine_logic_port, admin on $admin_port."
      say "deploy/quickstart.sh status shows more, deploy/quickstart.sh stop ends it."
      return
      ;;
    0) ;;
    *) fail "only a part of an earlier start still runs: see 'deploy/quickstart.sh status', then 'deploy/quickstart.sh stop'" ;;
  esac
  check_ports
  write_settings
  # Remove what a failed start, or one before the last boot, has left.
  find "$state" -mindepth 1 ! -name settings -delete
  trap give_up EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP

  install_packages
  [ -n "$daemon" ] || build
  step "Starting two Redis and dualbusd"
  write_config
  start_redis marketdata "$marketdata_port" 256mb
  start_redis engine-logic "$engine_logic_port" 128mb
  start_daemon
  run_demo
  trap - EXIT INT TERM HUP
  say_what_next
}

stop() {
  if [ ! -e "$state" ]; then
    say "Nothing to stop."
    return
  fi
  lock_state
  if [ "$(count_running)" -eq 0 ]; then say "Nothing runs any more."; else step "Stopping"; fi
  end_all
  rm -rf "$state"
}

status() {
  local service pid running
  [ ! -e "$state" ] || own_folder "$state"
  running=$(count_running)
  if [ "$running" -eq 0 ]; then
    say "Not running."
    return 3
  fi
  read_settings || fail "$state/settings is missing; 'deploy/quickstart.sh stop' still works"
  for service in "${services[@]}"; do
    if pid=$(running_pid "$service"); then
      say "  $service: running, process $pid, log $state/$service.log"
    else
      say "  $service: ${red}not running$plain, log $state/$service.log"
    fi
  done
  [ "$running" -eq ${#services[@]} ] || return 1
  say ''
  "$python" "$root/deploy/quickstart/bus_table.py" --port "$port" --admin-port "$admin_port" --bus "marketdata=$marketdata_port" \
    --bus "engine_logic=$engine_logic_port"
}

command=start
while [ $# -gt 0 ]; do
  case $1 in
    start | stop | status)
      command=$1
      shift
      ;;
    -h | --help)
      usage
      exit 0
      ;;
    --port | --marketdata-port | --engine-logic-port | --admin-port | --seconds | --daemon | --state)
      [ $# -ge 2 ] || fail "$1 needs a value"
      case $1 in
        *port)
          if ! [[ $2 =~ ^[1-9][0-9]{0,4}$ ]] || [ "$2" -gt 65535 ]; then fail "$1 $2: a port is a number from 1 to 65535"; fi
          ;;
        --seconds) [[ $2 =~ ^[1-9][0-9]{0,3}$ ]] || fail "--seconds $2: a number from 1 to 9999" ;;
        --daemon) [ -x "$2" ] || fail "--daemon $2: no such program" ;;
      esac
      case $1 in
        --port) port=$2 ;;
        --marketdata-port) marketdata_port=$2 ;;
        --engine-logic-port) engine_logic_port=$2 ;;
        --admin-port) admin_port=$2 ;;
        --seconds) seconds=$2 ;;
        --daemon) daemon=$(realpath "$2") ;;
        --state) state=$(realpath -ms "$2") ;;
      esac
      shift 2
      ;;
    *)
      usage >&2
      fail "unknown argument '$1'"
      ;;
  esac
done
$command
