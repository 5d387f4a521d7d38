#!/usr/bin/env bash
# Installs what is missing, builds, and runs every test optimised, and with AddressSanitizer and
# UndefinedBehaviorSanitizer most integration tests and a minute of faults. Ends with what each stage took, and with status 0
# when all of them passed.
#
#   test/run.sh           what fits into half an hour on two cores (as root when packages are missing)
#   test/run.sh --all     every test with AddressSanitizer, and those with two workers with ThreadSanitizer
#   test/run.sh --quick   the checks of the sources and the optimised build with all its tests, no sanitizers
set -euo pipefail

quick=no
threads=no
case "${1:-}" in
  '') ;;
  --all) threads=yes ;;
  --quick) quick=yes ;;
  *)
    sed -nE '2,/^set/ s/^# ?//p' "$0" >&2
    exit 2
    ;;
esac
cd "$(dirname "${BASH_SOURCE[0]}")/.."

summary=()
failed=0

# stage NAME COMMAND...: runs it whatever came before, and keeps how it went. A function that is run here ends with the
# status of its last command, so it joins its steps with &&.
stage() {
  local name=$1 started=$SECONDS result=passed
  shift
  printf '\n=== %s\n' "$name"
  if ! "$@"; then
    result=FAILED
    failed=$((failed + 1))
  fi
  summary+=("$(printf '%-7s %4d s  %s' "$result" $((SECONDS - started)) "$name")")
  [ $result = passed ]
}

check_format() {
  local complaints
  complaints=$(find src include test -name node_modules -prune -o \( -name '*.cpp' -o -name '*.hpp' \) -print0 |
    xargs -0 clang-format --dry-run -Werror 2>&1) && return
  echo "clang-format -i would change:"
  { grep -oE '^[^ :]+:[0-9]+:[0-9]+: error' <<<"$complaints" || echo "$complaints"; } | cut -d: -f1 | sort -u
  return 1
}

check_layers() { test/check_layers.sh --self-test && test/check_layers.sh; }
check_command_names() { test/check_command_names.sh --self-test && test/check_command_names.sh; }

install_clients() { npm ci --prefix test/integration/clients --no-audit --no-fund; }

# build PRESET [CMAKE BUILD OPTION...]
build() {
  local preset=$1 headers=()
  shift
  # Somewhere each file has to include what it uses.
  if [ "$preset" = tsan ]; then headers=(-DDUALBUS_PRECOMPILE_HEADERS=OFF); fi
  # The quickstart configures the same folder without tests.
  cmake --preset "$preset" -DDUALBUS_BUILD_TESTS=ON "${headers[@]}" && cmake --build --preset "$preset" --parallel "$(nproc)" "$@"
}

# run_tests PRESET [CTEST OPTION...]
# Tests mostly wait, so there may be one more than there are cores. Whatever fails beside others runs once more by itself, because
# a machine that is busy with something else can be too slow for any test. It is named with the stages all the same. A crash and
# what a sanitizer reports are not run again.
run_tests() {
  local preset=$1 arrange=() log=build/$1/Testing/Temporary/LastTest.log names
  shift
  # The sanitizers of GCC 12 do not get along with the address layout of newer kernels; not every container may change it.
  if setarch "$(uname -m)" -R true 2>/dev/null; then arrange=(setarch "$(uname -m)" -R); fi
  local -x ASAN_OPTIONS=detect_stack_use_after_return=1 UBSAN_OPTIONS=print_stacktrace=1 TSAN_OPTIONS=halt_on_error=1
  "${arrange[@]}" ctest --preset "$preset" --no-tests=error --timeout 300 --parallel $(($(nproc) + 1)) "$@" && return
  ! grep -qE "$not_again" "$log" || return 1
  names=$(sed 's/^[0-9]*://' "build/$preset/Testing/Temporary/LastTestsFailed.log" | paste -sd '|')
  [ "$(tr -cd '|' <<<"$names" | wc -c)" -lt 5 ] || return 1
  printf '\n=== %s: what failed, by itself\n' "$preset"
  # By name: the numbers of tests depend on what is left out.
  "${arrange[@]}" ctest --preset "$preset" --no-tests=error --timeout 300 --tests-regex "^($names)\$" || return
  unsteady+=("$preset: ${names//|/, }")
}
# Sanitizers' reports and the ends of programs that crash.
not_again='ERROR: (Address|Leak|Undefined|Thread)|WARNING: ThreadSanitizer|runtime error: |terminate called|Segmentation|SIGSEGV|SIGABRT|SEGFAULT'
unsteady=()

daemon_of() { find "build/$1" -name dualbusd -type f -perm -u+x | head -n 1; }

run_stages() {
  stage "packages" deploy/install-packages.sh build demo test || return
  stage "layers" check_layers || true
  stage "names of commands" check_command_names || true
  stage "format" check_format || true
  if [ -f test/integration/clients/package.json ]; then stage "client libraries for Node.js" install_clients || true; fi

  if stage "release: build" build release; then
    stage "release: every test" run_tests release || true
    stage "deployment files" test/check_deploy.sh "$(daemon_of release)" || true
  fi
  if [ $quick = yes ]; then return; fi

  if [ $threads = no ]; then
    # Left to --all: the scripts, the load tool and client libraries do nothing to the daemon that the other tests leave out; where
    # time and memory are measured, or time-outs awaited, a sanitizer measures itself.
    local others='apart_keys|availability|compare|fleet|quickstart|takeover|bullmq|celery|haproxy|languages|readiness|redis_py|rq_|tools'
    others+='|ctl|durable_answers|engines_doc|kubernetes|log_output|manual|monitoring|package|page|sentinel_failover|watchdog'
    others+='|backend_login|client_limits|faults.failover|given_up|hand_over_crowd|leaving|log_test|memory_limit|resources|shared_buses|state_folder'
    if stage "asan: build" build asan --target dualbusd configurations; then
      stage "asan: integration tests" run_tests asan --label-regex 'integration|faults|security' --exclude-regex "$others" || true
    fi
    return
  fi
  # A sanitizer makes a simulated world some ten times slower.
  export DUALBUS_SIMULATION_RUNS=400
  if stage "asan: build" build asan; then stage "asan: every test" run_tests asan || true; fi
  # With two workers there is something to race; everything else has one thread for its data. The tests of threads need
  # the daemon only.
  export DUALBUS_TEST_WORKERS=2
  if stage "tsan: build" build tsan --target dualbusd; then
    stage "tsan: tests of threads" run_tests tsan --label-regex tsan || true
  fi
}

run_stages || true
printf '\n=== Stages\n'
printf '%s\n' "${summary[@]}"
printf '%-7s %4d s\n' total $SECONDS
if [ ${#unsteady[@]} -gt 0 ]; then
  echo "Failed beside other tests, passed by themselves:"
  printf '%s\n' "${unsteady[@]}"
fi
if [ $failed -gt 0 ]; then
  echo "run.sh: $failed stages failed" >&2
  exit 1
fi
