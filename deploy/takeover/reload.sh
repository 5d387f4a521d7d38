#!/usr/bin/env bash
# Steps of deploy/takeover.sh for which the running daemon gets another configuration: the begin of the way back, and the end of
# the old Redis. takeover.sh sources this file; it has the settings and functions.
# shellcheck disable=SC2034,SC2154

# The daemon reads $state/dualbus.yaml. While that is not what the takeover has written, $state/forward.yaml is: every change of one
# of them is a rename, so that a run that was killed leaves whole files, and forward.yaml until it is known which one counts.
exchanged=no # while the daemon may or may not have taken another file

forward_config() { if [ -e "$state/forward.yaml" ]; then echo "$state/forward.yaml"; else echo "$state/dualbus.yaml"; fi; }

copy_file() { cp "$1" "$2.new" && mv -f "$2.new" "$2"; }

# put_config FILE: the daemon will read what FILE holds.
put_config() {
  local problem="the state folder $state cannot be written to; nothing was changed"
  [ -e "$state/forward.yaml" ] || copy_file "$state/dualbus.yaml" "$state/forward.yaml" || fail "$problem"
  copy_file "$1" "$state/dualbus.yaml" || fail "$problem"
  exchanged=yes
}

take_config_back() {
  [ ! -e "$state/forward.yaml" ] || mv -f "$state/forward.yaml" "$state/dualbus.yaml"
  exchanged=no
}

# reload_daemon ROLE SECONDS [TRIES]: until the old Redis has that role for the daemon. Prints the reasons why not.
reload_daemon() {
  local pid
  pid=$(running_pid dualbusd) || return 3
  tool reload "$admin" "$pid" "$1" "$2" "$state/dualbusd.log" "${@:3}" 2>&1
}

ask_for_reload() {
  local pid
  if pid=$(running_pid dualbusd); then kill -HUP "$pid" 2>/dev/null || true; fi
}

# For a run that ends while it does not know: the daemon gets its former file again. A later run makes sure that it has it.
break_off_reload() {
  [ $exchanged = yes ] || return 0
  say "dualbusd gets its former configuration again"
  copy_file "$state/forward.yaml" "$state/dualbus.yaml" || true
  ask_for_reload
}

# not_taken STATUS REASONS: after a reload that was not one. The daemon has its former file again.
not_taken() {
  take_config_back
  case $1 in
    1)
      say "    dualbusd refuses the configuration:"
      indented '| ' <<<"$2"
      ;;
    2)
      ask_for_reload # a reload may be under way still
      say "    dualbusd has not said within $timeout s whether it takes the configuration"
      ;;
    3) say "    dualbusd has ended" ;;
    *) say "    $2" ;;
  esac
}

# An earlier run was killed before it knew whether the daemon would take another file: the daemon gets the former one.
settle() {
  local problem
  if [ "$phase" = retired ]; then rm -f "$state/forward.yaml"; fi
  [ "$phase" = retiring ] || [ -e "$state/forward.yaml" ] || return 0
  if running_pid dualbusd >/dev/null; then
    if [ "$phase" = retiring ] && [ "$(tool role "$admin")" = none ]; then
      has_retired
      return
    fi
    if [ -e "$state/forward.yaml" ]; then
      step "dualbusd gets the configuration again that it had before the run that broke off"
      copy_file "$state/forward.yaml" "$state/dualbus.yaml" || fail "the state folder $state cannot be written to"
      problem=$(reload_daemon draining "$timeout" 2) || {
        indented '| ' <<<"$problem"
        fail "dualbusd does not take it; it serves as before. End the rollback with --rollback, or run this again"
      }
    fi
  fi
  take_config_back
  [ "$phase" != retiring ] || remember pushed
}

# ---------------------------------------------------------------------- the way back

restart_daemon() {
  local since
  since=$(now_ms)
  unserved=$state/dualbus.yaml
  end dualbusd 20
  start_daemon "$unserved" "$since" || return 1
  unserved=''
}

# Messages go to the old Redis, and the other buses drain.
turn_back() {
  local problem status=0 moved=''
  step "Messages go to the old Redis again, the other buses drain"
  ours_or_nobodys
  is_redis "$new_port" || fail "the old Redis does not answer on $host:$new_port: nothing was changed"
  if [ "$pins" != 0 ]; then
    [ "$force" = yes ] || fail "routing.keys pins keys, and what they hold stays behind: move them and take the rules out, or use --force"
    moved=allowed
  fi
  problem=$(tool back "$(forward_config)" "$state/rollback.yaml" $moved 2>&1) || fail "$problem"
  problem=$("$daemon" --check-config "$state/rollback.yaml" 2>&1) || fail "the configuration is not accepted: $problem"
  check_room
  prepare_phases
  remember pushed # until it serves with the other configuration, whatever an earlier run has reached
  if running_pid dualbusd >/dev/null; then
    put_config "$state/rollback.yaml"
    unserved=$state/dualbus.yaml
    problem=$(reload_daemon active "$timeout") || status=$?
    if [ $status != 0 ]; then
      not_taken $status "$problem"
      fail "the way back is not begun; nothing was changed"
    fi
    exchanged=no unserved=''
    say "    no client was disconnected"
    remember returning
    return
  fi
  put_config "$state/rollback.yaml"
  if ! restart_daemon; then
    show_daemon_log
    take_config_back
    restart_daemon || true # else once more at the end
    fail "dualbusd does not get ready for the way back; nothing is lost, it serves as before"
  fi
  exchanged=no
  remember returning
}

# ---------------------------------------------------------------------- the end of the old Redis

has_retired() {
  cmp -s "$state/retired.yaml" "$state/dualbus.yaml" || copy_file "$state/retired.yaml" "$state/dualbus.yaml" ||
    say "    DO THIS BY HAND: copy $state/retired.yaml over dualbus.yaml, which the daemon reads"
  remember retired
  rm -f "$state/forward.yaml"
  exchanged=no
}

is_left_by_daemon() { ! ask "$new_port" CLIENT LIST | grep -qE " laddr=[^ ]*:$new_port .* name=dualbusd"; }

report_retirement() {
  local clients
  clients=$(foreign "$new_port" 2>/dev/null) || clients=''
  if [ -n "$clients" ]; then
    say "    still connected to the old Redis, and not through dualbusd (address, name, last command):"
    while read -r _ address _ name command _; do say "      $address $name $command"; done <<<"$clients"
  fi
  say "Retired. For dualbusd and its clients the old Redis on $host:$new_port is no more: it serves nobody, and can be stopped."
}

retire() {
  local problem pid status=0 left='' moved='' target=$state/retired.yaml
  case $phase in
    none | returned) fail "nothing is taken over, so there is nothing to retire" ;;
    moving | serving) fail "the takeover broke off; run this without --retire first, or --rollback" ;;
    returning | leaving) fail "a rollback has begun: end it with --rollback first" ;;
    retired)
      say "The old Redis was retired already."
      return
      ;;
  esac
  read_config "$(forward_config)"
  running_pid dualbusd >/dev/null || {
    ours_or_nobodys
    fail "dualbusd does not run: run this without --retire first, it starts the daemon"
  }
  if [ "$dry_run" = no ]; then settle; fi
  if [ "$phase" = retired ]; then
    report_retirement
    return
  fi
  both_serve
  step "Checks; nothing is changed"
  told tool retirable "$admin" || status=$?
  case $status in
    0) ;;
    2)
      [ "$force" = yes ] || fail "this would be left behind on the old Redis; look after it (docs/migration.md), then run --retire again, or --force it"
      left=yes
      ;;
    3) left=yes ;;
    *) fail "the old Redis is not drained; nothing was changed" ;;
  esac
  if [ "$dry_run" = yes ]; then scratch=$(mktemp -d) target=$scratch/retired.yaml; fi
  [ "$left" != yes ] || [ "$force" = no ] || moved=allowed
  problem=$(tool without "$(forward_config)" "$target" $moved 2>&1) || fail "$problem"
  problem=$("$daemon" --check-config "$target" 2>&1) || fail "the configuration is not accepted: $problem"
  check_room
  if [ "$dry_run" = yes ]; then
    end_step
    say "Would reload dualbusd without the old Redis. Nothing was changed."
    return
  fi
  prepare_phases
  step "dualbusd goes on without the old Redis; it looks itself whether that is drained"
  pid=$(running_pid dualbusd)
  remember retiring
  unserved=$state/dualbus.yaml
  put_config "$target"
  problem=$(reload_daemon none "$timeout") || {
    not_taken $? "$problem"
    remember pushed
    fail "the old Redis is not retired; nothing was changed"
  }
  has_retired
  unserved=''
  await 20 is_left_by_daemon || say "    dualbusd still has connections to the old Redis, which end with the clients that use them"
  [ "$(running_pid dualbusd)" = "$pid" ] || fail "process $pid of dualbusd has ended"
  say "    no client was disconnected; clients of dualbusd: $(tool metric "$admin" dualbus_clients)"
  step "Report"
  report_retirement
  end_step
  if [ -n "$left" ]; then
    say "The entries and keys above are left behind there: nobody gets them from dualbusd."
    exit 2
  fi
}
