#!/usr/bin/env bash
# The same fleet of trading engines on one Redis, broken and healthy, and through dualbusd over two: one command, one table.
set -euo pipefail

usage() {
  cat <<'USAGE'
usage: deploy/compare.sh [options]

Starts redis-servers and dualbusd on free ports in a temporary folder, runs dualbus-fleet against them, ends them again, and
prints a table of what everything cost. The same goes as compare.md, compare.json and compare.svg into a folder.

  --seconds N       length of each of the three main runs (60); the others take a third of it
  --out DIR         where the results go (./compare-<date>)
  --only LIST       of: main, latency, slow, useless, crowd, noisy; separated by commas (all)
  --quick           main runs of 5 s, and nothing else
  --rate N          messages per second and engine (50)
  --daemon FILE     use this dualbusd instead of the one in build/release, which is built if need be
  --fleet FILE      use this dualbus-fleet

Other work on the machine distorts every figure: compare on a quiet one, and quote only figures of one run together.
USAGE
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=/usr/bin/python3
out=$PWD/compare-$(date +%Y%m%d-%H%M%S)
daemon='' fleet=''
pass=()

fail() {
  printf 'compare.sh: %s\n' "$*" >&2
  exit 2
}

while [ $# -gt 0 ]; do
  case $1 in
    -h | --help)
      usage
      exit 0
      ;;
    --quick)
      pass+=(--seconds 5 --only main)
      shift
      ;;
    --seconds | --only | --rate | --out | --daemon | --fleet)
      [ $# -ge 2 ] || fail "$1 needs a value"
      case $1 in
        --out) out=$2 ;;
        --daemon) daemon=$2 ;;
        --fleet) fleet=$2 ;;
        *) pass+=("$1" "$2") ;;
      esac
      shift 2
      ;;
    *)
      usage >&2
      fail "unknown argument '$1'"
      ;;
  esac
done

program() { find "$root/build/release" -name "$1" -type f -perm -u+x 2>/dev/null | head -n 1; }

if [ -z "$daemon" ] || [ -z "$fleet" ]; then
  if [ -z "$(program dualbusd)" ] || [ -z "$(program dualbus-fleet)" ]; then
    echo "Building (a few minutes the first time)"
    # A folder that is configured with tests stays so.
    (
      cd "$root" && { [ -f build/release/CMakeCache.txt ] || cmake --preset release -DDUALBUS_BUILD_TESTS=OFF; } &&
        cmake --build --preset release --target dualbusd dualbus-fleet
    ) >&2 || fail "the build failed; deploy/install-packages.sh build installs what it needs"
  fi
  daemon=${daemon:-$(program dualbusd)}
  fleet=${fleet:-$(program dualbus-fleet)}
fi
[ -x "$daemon" ] || fail "--daemon $daemon: no such program"
[ -x "$fleet" ] || fail "--fleet $fleet: no such program"
command -v redis-server >/dev/null || fail "redis-server is missing; deploy/install-packages.sh demo installs it"

exec "$python" -B "$root/deploy/compare/run.py" --daemon "$daemon" --fleet "$fleet" --out "$out" "${pass[@]}"
