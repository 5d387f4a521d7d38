#!/usr/bin/env bash
# Checks everything under deploy/, the Dockerfile and the scripts, as far as one machine without Docker can.
#
#   test/check_deploy.sh [DUALBUSD]   with a built daemon also: the configurations, and the runtime packages against ldd
#
# Needs the packages of the groups demo and test.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
daemon=${1:-}
export PYTHONDONTWRITEBYTECODE=1
python=/usr/bin/python3
scratch=$(mktemp -d)
helpers=()
failures=0

clean_up() {
  local pid
  for pid in "${helpers[@]}"; do
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
  rm -rf "$scratch"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# check WHAT COMMAND...: one line when it succeeds, everything it printed when it does not.
check() {
  local what=$1
  shift
  if "$@" >"$scratch/output" 2>&1; then
    echo "ok      $what"
  else
    echo "FAILED  $what" >&2
    sed 's/^/        /' "$scratch/output" >&2
    failures=$((failures + 1))
  fi
}

free_port() {
  "$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# await SECONDS COMMAND...
await() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $deadline ] || return 1
    sleep 0.05
  done
}

check_syntax() {
  local script
  for script in "${scripts[@]}"; do bash -n "$script" || return 1; done
}

# redis_runs BUS SETTING VALUE...: a real Redis takes the file and has these values.
redis_runs() {
  local bus=$1 port pid got
  shift
  port=$(free_port)
  mkdir "$scratch/$bus" || return 1
  redis-server "deploy/redis-$bus.conf" --port "$port" --dir "$scratch/$bus" >"$scratch/$bus.log" 2>&1 &
  pid=$!
  helpers+=("$pid")
  if ! await 10 redis-cli -p "$port" ping; then
    cat "$scratch/$bus.log"
    return 1
  fi
  while [ $# -gt 0 ]; do
    got=$(redis-cli -p "$port" config get "$1" | tail -n +2)
    if [ "$got" != "$2" ]; then
      echo "$1 is '$got', not '$2'"
      return 1
    fi
    shift 2
  done
  kill "$pid"
  wait "$pid"
}

# The unit, with programs that exist here in the place of those that are not installed.
unit_is_valid() {
  local unit=$scratch/dualbusd.service exposure
  sed 's#/usr/local/bin/dualbusd#/bin/true#g' deploy/dualbusd.service >"$unit"
  systemd-analyze verify --man=no "$unit" 2>"$scratch/verify" || true
  # It must say nothing about this unit; about other units of the machine it may say what it likes.
  if grep -F dualbusd.service "$scratch/verify"; then return 1; fi
  exposure=$(systemd-analyze security --offline=true --no-pager "$unit" | sed -nE 's/.*exposure level for.*: ([0-9.]+).*/\1/p')
  echo "exposure level '$exposure'"
  awk -v level="$exposure" 'BEGIN { exit !(level != "" && level <= 2.0) }'
}

health_check_tells() {
  local port
  port=$(free_port)
  if deploy/healthcheck.sh "$port"; then
    echo "healthy with nobody on the port"
    return 1
  fi
  mkdir "$scratch/www" && echo ok >"$scratch/www/healthz"
  "$python" -m http.server --bind 127.0.0.1 --directory "$scratch/www" "$port" >/dev/null 2>&1 &
  helpers+=($!)
  await 10 deploy/healthcheck.sh "$port" /healthz || return 1
  if deploy/healthcheck.sh "$port" /readyz; then
    echo "404 passes for healthy"
    return 1
  fi
}

# With a script and an interface that exist here. The test of Debian's keepalived 2.2.7 ends itself unless scripts run as root.
keepalived_accepts() {
  local interface
  interface=$(find /sys/class/net -mindepth 1 ! -name lo -printf '%f\n' | sort | head -n 1)
  if [ -z "$interface" ]; then
    echo "not checked: this machine has no network interface but lo"
    return 0
  fi
  sed "s#/usr/local/bin/dualbus-healthcheck#$PWD/deploy/healthcheck.sh#; s/interface eth0/interface $interface/; s/script_user nobody/script_user root/" \
    deploy/keepalived.conf >"$scratch/keepalived.conf"
  keepalived --config-test --use-file="$scratch/keepalived.conf"
}

# Every library the daemon loads comes with the group `run` or with Debian's base.
run_packages_suffice() {
  local library package known
  known=$(deploy/install-packages.sh --list run; printf '%s\n' libc6 libgcc-s1 libstdc++6)
  if ldd "$daemon" | grep -F 'not found'; then return 1; fi
  ldd "$daemon" | awk '$2 == "=>" { print $3 }' | while read -r library; do
    package=$( (dpkg -S "$library" 2>/dev/null || dpkg -S "$(realpath "$library")" 2>/dev/null || echo nobody:) | head -n 1)
    if ! grep -qxF "${package%%:*}" <<<"$known"; then
      echo "$library comes from ${package%%:*}, which install-packages.sh run does not install"
      return 1
    fi
  done
}

mapfile -t scripts < <(find deploy test .ci -name node_modules -prune -o -type f \( -name '*.sh' -o -path '.ci/run' \) -print | sort)

check "scripts: bash reads them" check_syntax
check "scripts: shellcheck" shellcheck "${scripts[@]}"
check "package lists" deploy/install-packages.sh --list build run demo test
check "Compose, Dockerfile, Redis sizes, configurations agree" "$python" test/check_deploy.py
check "... and a disagreement is noticed" "$python" test/check_deploy.py --self-test
check "Kubernetes: known fields, and everything agrees" "$python" test/check_kubernetes.py
check "... and a disagreement is noticed" "$python" test/check_kubernetes.py --self-test
check "redis-marketdata.conf: Redis runs with it" redis_runs marketdata maxmemory $((16 << 30)) \
  maxmemory-policy allkeys-lru save '60 1000' appendonly yes
check "redis-engine-logic.conf: Redis runs with it" redis_runs engine-logic maxmemory $((8 << 30)) \
  maxmemory-policy volatile-lru save '' appendonly no
check "dualbusd.service: systemd-analyze" unit_is_valid
check "healthcheck.sh" health_check_tells
check "prometheus.yml: promtool" promtool check config deploy/prometheus.yml
check "prometheus-compose.yml: promtool" promtool check config deploy/prometheus-compose.yml
check "alerts.yml: promtool" promtool check rules deploy/alerts.yml
check "haproxy.cfg: haproxy" haproxy -c -f deploy/haproxy.cfg
check "keepalived.conf: keepalived" keepalived_accepts
if [ -n "$daemon" ]; then
  check "config/dualbus.yaml: dualbusd accepts it" "$daemon" --check-config config/dualbus.yaml
  check "dualbus-compose.yaml: dualbusd accepts it" "$daemon" --check-config deploy/dualbus-compose.yaml
  check "kubernetes/dualbus.yaml: dualbusd accepts it" "$daemon" --check-config deploy/kubernetes/dualbus.yaml
  check "libraries: all in the packages of the group run" run_packages_suffice
fi
if [ $failures -gt 0 ]; then
  echo "check_deploy.sh: $failures checks failed" >&2
  exit 1
fi
