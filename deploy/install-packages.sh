#!/usr/bin/env bash
# The Debian 12 packages of dualbus: the one list that the README, the Dockerfile, deploy/quickstart.sh and test/run.sh use.
#
#   deploy/install-packages.sh GROUP...          installs what is missing (as root); silent when nothing is
#   deploy/install-packages.sh --list GROUP...   prints the names, one a line
#
# Groups: build (compile the daemon), run (run a compiled one), demo (the quickstart), test (every test).
# redis-server, redis-sentinel, prometheus and its exporter, haproxy and keepalived come with services; a service that this script brings in is neither started nor
# enabled, so that it does not sit on the ports the daemon is about to use. Services that were there before are left alone.
set -euo pipefail

packages_of() {
  case $1 in
    build)
      echo g++ cmake ninja-build
      echo libboost1.81-dev libhiredis-dev libsimdjson-dev libyaml-cpp-dev prometheus-cpp-dev libcli11-dev libspdlog-dev libssl-dev libjs-dygraphs
      ;;
    run)
      echo libhiredis0.14 libsimdjson14 libyaml-cpp0.7 libprometheus-cpp-core1.0 libspdlog1.10 libfmt9 libssl3
      ;;
    demo)
      echo redis-server redis-tools python3 python3-redis python3-yaml iproute2
      ;;
    test)
      echo libgtest-dev libgmock-dev libbenchmark-dev
      echo redis-server redis-sentinel redis-tools prometheus python3 python3-redis python3-yaml curl
      echo clang-format shellcheck systemd
      echo python3-hiredis python3-rq python3-celery ruby-redis php-cli php-redis prometheus-redis-exporter haproxy keepalived chromium chromium-driver man-db python3-jsonschema dpkg-dev file lintian
      # Node.js often comes from elsewhere than Debian, with npm inside; Debian's npm would conflict with that.
      if ! command -v node >/dev/null || ! command -v npm >/dev/null; then echo nodejs npm; fi
      ;;
    *)
      echo "install-packages.sh: unknown group '$1' (build, run, demo, test)" >&2
      return 2
      ;;
  esac
}

all_packages() {
  local group
  for group in "$@"; do packages_of "$group" || return; done | tr ' ' '\n' | awk 'NF && !seen[$0]++'
}

is_installed() {
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null || true)" = installed ]
}

# The packages that bring a service (named like the package) which would start at once.
services_among() {
  local package
  for package in "$@"; do
    case $package in redis-server | redis-sentinel | prometheus | prometheus-redis-exporter | haproxy | keepalived) echo "$package" ;; esac
  done
}

policy=/usr/sbin/policy-rc.d
policy_before=$policy.before-dualbus
policy_mark='written by dualbus deploy/install-packages.sh for the time of one installation'

# Puts policy-rc.d back exactly as it was; also after a run that was killed in between.
restore_policy() {
  if [ -e "$policy_before" ] || [ -L "$policy_before" ]; then
    mv -f "$policy_before" "$policy"
  elif grep -qsF "$policy_mark" "$policy"; then
    rm -f "$policy"
  fi
}

# Debian asks policy-rc.d before it starts a service of a package: no for ours, the former answer for all others.
forbid_services() {
  local pattern service
  pattern=$(for service in "${services[@]}"; do printf '%s|%s.service|' "$service" "$service"; done)
  if [ -e "$policy" ] || [ -L "$policy" ]; then mv "$policy" "$policy_before"; fi
  cat >"$policy.new" <<POLICY
#!/bin/sh
# $policy_mark
for argument in "\$@"; do
  case \$argument in ${pattern%|}) exit 101 ;; esac
done
[ -x $policy_before ] && exec $policy_before "\$@"
exit 0
POLICY
  chmod 755 "$policy.new"
  mv "$policy.new" "$policy"
}

# Without this the service would start at the next boot.
disable_service() {
  if command -v systemctl >/dev/null; then
    systemctl disable --quiet "$1" 2>/dev/null || true
  else
    update-rc.d "$1" disable >/dev/null 2>&1 || true
  fi
  echo "install-packages.sh: the service $1 came with its package; it is neither started nor enabled" >&2
}

apt_install() {
  apt-get -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 --no-install-recommends install "$@"
}

list_only=no
if [ "${1:-}" = --list ]; then
  list_only=yes
  shift
fi
if [ $# -eq 0 ]; then
  echo "usage: install-packages.sh [--list] build|run|demo|test ..." >&2
  exit 2
fi
wanted=$(all_packages "$@")
if [ $list_only = yes ]; then
  echo "$wanted"
  exit 0
fi
if ! command -v dpkg-query >/dev/null; then
  echo "install-packages.sh: this is not Debian; install the equivalents of:" "$(xargs <<<"$wanted")" >&2
  exit 1
fi

missing=()
for package in $wanted; do is_installed "$package" || missing+=("$package"); done
[ ${#missing[@]} -gt 0 ] || exit 0

# shellcheck source=/dev/null
release=$(. /etc/os-release && echo "${ID:-unknown} ${VERSION_ID:-}")
if [ "$release" != "debian 12" ]; then
  echo "install-packages.sh: made for Debian 12, this is $release; missing here: ${missing[*]}" >&2
  exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
  echo "install-packages.sh: run as root to install: ${missing[*]}" >&2
  exit 1
fi

exec 8>/run/dualbus-install-packages.lock
flock 8
trap restore_policy EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
restore_policy
mapfile -t services < <(services_among "${missing[@]}")
if [ ${#services[@]} -gt 0 ]; then forbid_services; fi

export DEBIAN_FRONTEND=noninteractive
echo "install-packages.sh: installing ${missing[*]}"
if ! compgen -G '/var/lib/apt/lists/*Packages*' >/dev/null; then
  apt-get -q -o DPkg::Lock::Timeout=300 update
  apt_install "${missing[@]}"
elif ! apt_install "${missing[@]}"; then
  # Known versions that the mirror no longer has are the usual reason.
  apt-get -q -o DPkg::Lock::Timeout=300 update
  apt_install "${missing[@]}"
fi
for service in "${services[@]}"; do disable_service "$service"; done
