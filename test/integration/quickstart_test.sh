#!/usr/bin/env bash
# deploy/quickstart.sh from outside: what it says, what it starts, and that it ends exactly that. On free ports and in a
# folder of its own, so a quickstart that runs on this machine is not disturbed.
#
#   test/integration/quickstart_test.sh [DUALBUSD]     the program; else the environment variable DUALBUSD names it
set -euo pipefail

daemon=$(realpath "${1:-${DUALBUSD:?names no daemon}}")
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
scratch=$(mktemp -d)
state=$scratch/state
bystander=

quickstart() { "$root/deploy/quickstart.sh" --state "$state" "$@"; }

clean_up() {
  local status=$?
  trap - EXIT
  quickstart stop >/dev/null 2>&1 || true
  if [ -n "$bystander" ]; then kill "$bystander" 2>/dev/null || true; fi
  rm -rf "$scratch"
  exit $status
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail() {
  echo "FAILED: $*" >&2
  if [ -f "$scratch/output" ]; then sed 's/^/    /' "$scratch/output" >&2; fi
  exit 1
}

# expect_status N COMMAND...: runs it, keeps what it prints for says/says_not.
expect_status() {
  local wanted=$1 got=0
  shift
  "$@" >"$scratch/output" 2>&1 || got=$?
  [ "$got" -eq "$wanted" ] || fail "'$*' ended with status $got, not $wanted"
}
says() { grep -qE -- "$1" "$scratch/output" || fail "it does not say '$1'"; }
says_not() { if grep -qE -- "$1" "$scratch/output"; then fail "it says '$1'"; fi; }

free_ports() {
  /usr/bin/python3 - "$1" <<'PYTHON'
import socket, sys
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(int(sys.argv[1]))]
print(*(s.getsockname()[1] for s in held))
PYTHON
}

pid_of() { cut -d' ' -f1 "$state/$1.pid"; }
answers() { redis-cli -p "$1" ping 2>/dev/null | grep -qx PONG; }
# The rest of an ended process may wait to be reaped by whoever runs this test.
is_gone() { [ ! -e "/proc/$1" ] || grep -q '^State:.Z' "/proc/$1/status"; }

read -r port marketdata_port engine_logic_port admin_port < <(free_ports 4)
ports=(--port "$port" --marketdata-port "$marketdata_port" --engine-logic-port "$engine_logic_port" --admin-port "$admin_port")
begin() { quickstart start --daemon "${1:-$daemon}" --seconds 2 "${ports[@]}"; }

echo "RefusesAnOccupiedPortNamingItsOptionAndStartsNothing"
redis-server --port "$engine_logic_port" --save '' --dir "$scratch" >/dev/null 2>&1 &
bystander=$!
until answers "$engine_logic_port"; do kill -0 $bystander || fail "the occupant ended"; sleep 0.05; done
expect_status 1 begin
says "port $engine_logic_port is taken.*--engine-logic-port"
if command -v ss >/dev/null; then says "redis-server \(process $bystander\)"; fi
says "nothing was started"
if answers "$marketdata_port"; then fail "something was started"; fi
answers "$engine_logic_port" || fail "the occupant was harmed"
kill $bystander
wait $bystander || true
bystander=

echo "RefusesPortsThatAreEqualOrNoPorts"
expect_status 1 quickstart --daemon "$daemon" --port "$port" --admin-port "$port"
says "--port and --admin-port are both $port"
expect_status 1 quickstart --port 65536
says "from 1 to 65535"

echo "RefusesAFolderOfSomebodyElse"
mkdir "$scratch/foreign" && echo precious >"$scratch/foreign/file"
expect_status 1 "$root/deploy/quickstart.sh" --state "$scratch/foreign" --daemon "$daemon" "${ports[@]}"
expect_status 1 "$root/deploy/quickstart.sh" --state "$scratch/foreign" stop
[ "$(cat "$scratch/foreign/file")" = precious ] || fail "a foreign file was touched"

echo "AFailureHalfWayStopsWhatItStartedAndShowsTheLog"
cat >"$scratch/failing" <<'DAEMON'
#!/bin/sh
[ "$1" = --check-config ] && exit 0
echo "the reason why"
exit 1
DAEMON
chmod +x "$scratch/failing"
expect_status 1 begin "$scratch/failing"
says "ended right after its start"
says "the reason why"
says "marketdata stopped"
if answers "$marketdata_port" || answers "$engine_logic_port"; then fail "a Redis still runs"; fi
expect_status 3 quickstart status

echo "StartsBothBusesAndTheDaemonAndShowsWhatWentWhere"
expect_status 0 begin
says "marketdata: [0-9,]+ entries of 3 types, each exactly once"
says "engine_logic: [0-9,]+ entries of 11 types, each exactly once"
says "^ +marketdata +$marketdata_port +420 +7 .*market_data 140"
says "^ +engine_logic +$engine_logic_port +1,540 +7 "
says "redis-cli -p $port "
says_not $'\e' # no colours into a file
for number in "$port" "$marketdata_port" "$engine_logic_port"; do answers "$number" || fail "nobody answers on $number"; done
"$root/deploy/healthcheck.sh" "$admin_port" "/readyz?all" || fail "not ready"
pids=("$(pid_of dualbusd)" "$(pid_of marketdata)" "$(pid_of engine-logic)")
[ "$(redis-cli -p "$marketdata_port" config get appendonly | tail -n 1)" = yes ] || fail "not the configuration of the fleet"
[ "$(redis-cli -p "$marketdata_port" config get maxmemory | tail -n 1)" -le $((1 << 30)) ] || fail "not a size for a demo"

echo "WhatItAdvisesToTryNextWorks"
expect_status 0 redis-cli -p "$port" XADD nautilus-risk-streams '*' message_type market_data payload '{"symbol":"AAPL"}'
expect_status 0 redis-cli -p "$port" XADD nautilus-risk-streams '*' message_type risk_metric payload '{"var":0.02}'
[ "$(redis-cli -p "$port" XLEN nautilus-risk-streams)" = 2 ] || fail "the stream has not two entries"
redis-cli -p "$marketdata_port" XRANGE nautilus-risk-streams - + >"$scratch/output"
says AAPL
redis-cli -p "$engine_logic_port" XRANGE nautilus-risk-streams - + >"$scratch/output"
says 0.02

echo "StartingTwiceSaysThatItRuns"
expect_status 0 begin
says "Already running: dualbusd on port $port"
[ "$(pid_of dualbusd)" = "${pids[0]}" ] || fail "it was started again"

echo "StatusShowsTheProcessesAndTheTable"
expect_status 0 quickstart status
says "dualbusd: running, process ${pids[0]}"
says "^ +marketdata +$marketdata_port +421 "

echo "StopEndsExactlyWhatItStarted"
sleep 600 &
bystander=$!
cp -r "$state" "$scratch/copy"
expect_status 0 quickstart stop
says "dualbusd stopped \(process ${pids[0]}\)"
for pid in "${pids[@]}"; do is_gone "$pid" || fail "process $pid still runs"; done
[ ! -e "$state" ] || fail "state was left behind"
expect_status 0 quickstart stop
says "Nothing to stop"

echo "AReusedProcessIdIsNeverKilled"
cp -r "$scratch/copy" "$state"
# The bystander has the ID that is written down, but began at another time.
echo "$bystander $(cut -d' ' -f2 "$scratch/copy/dualbusd.pid")" >"$state/dualbusd.pid"
expect_status 0 quickstart stop
kill -0 "$bystander" || fail "a foreign process was killed"

echo "all passed"
