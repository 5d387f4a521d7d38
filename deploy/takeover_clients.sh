#!/usr/bin/env bash
# Who is connected to a Redis, and how deploy/takeover.sh moves them to the daemon. To be sourced by it, with its settings and
# functions.
# shellcheck disable=SC2034,SC2154

# CLIENT PAUSE lasts no longer than this; shorter than backend.request_timeout, because the daemon's writes wait, too.
pause_ms=4000

# foreign PORT: every client that is neither the daemon nor we: its ID, address, flags, name, last command, unsent output, the
# port through which it came, and its user. Fails when there is no answer.
foreign() {
  printf 'CLIENT LIST TYPE normal\nCLIENT LIST TYPE pubsub\n' | ask_all "$1" | awk -v port="$1" '
    /^id=/ {
      delete at
      for (i = 1; i <= NF; i++) { eq = index($i, "="); at[substr($i, 1, eq - 1)] = substr($i, eq + 1) }
      if (at["name"] == "dualbus-takeover") answered = 1
      if (at["name"] ~ /^dualbusd/ || at["name"] == "dualbus-takeover") next
      came = at["laddr"]
      sub(/.*:/, "", came)
      print at["id"], at["addr"], at["flags"], (at["name"] == "" ? "-" : at["name"]), at["cmd"], at["obl"] + at["oll"], came, at["user"]
    }
    END { if (!answered) { print "takeover.sh: port " port " does not list its clients" >"/dev/stderr"; exit 1 } }'
}

# Of the clients on standard input, those that came through the port they know; who knows the new one was told of it.
to_move() { awk -v new="$new_port" 'NF && $7 != new'; }

# Closes every client's connection to the old Redis at a moment at which it owes them nothing. While CLIENT PAUSE WRITE
# holds back XADD, XREADGROUP and XACK, nothing is delivered, and what a client sends and never gets an answer to was not
# executed, so it may send it again.
push_clients() {
  local round clients closing started busy closed=0
  for round in 1 2 3 4 5; do
    clients=$(foreign "$new_port" | to_move)
    [ -n "$clients" ] || break
    paused=yes
    [ "$(ask "$new_port" CLIENT PAUSE $pause_ms WRITE)" = OK ] || fail "the old Redis does not hold back writes: run this again"
    started=$(now_ms)
    # A reply that the kernel has been given needs a moment to reach another machine.
    sleep 0.2
    while :; do
      clients=$(foreign "$new_port" | to_move)
      busy=$(awk '$6 > 0' <<<"$clients" | wc -l)
      if [ "$busy" -eq 0 ] || [ $(($(now_ms) - started)) -gt $((pause_ms / 2)) ]; then break; fi
      sleep 0.02
    done
    # A client that does not read its replies for seconds is spared until the last round.
    closing=$(awk -v all=$((round / 5)) 'NF && ($6 == 0 || all)' <<<"$clients")
    if [ -n "$closing" ]; then
      echo "$closing" >>"$state/moved"
      awk '{ print "CLIENT KILL ID", $1 }' <<<"$closing" | ask_all "$new_port" >/dev/null
      closed=$((closed + $(wc -l <<<"$closing")))
    fi
    ask "$new_port" CLIENT UNPAUSE >/dev/null
    paused=no
    say "    round $round: writes held back for $(($(now_ms) - started)) ms, $(counted "$closed" connection) closed, $busy with unread replies"
  done
}

# Succeeds when nobody came back.
watch_old_redis() {
  local end=$(($(now_ms) + watch * 1000)) clients
  while [ "$(now_ms)" -lt $end ]; do
    # Who has sent nothing yet may be dualbusd, which is about to say so.
    clients=$(foreign "$new_port" | awk '$5 != "NULL"')
    if [ -n "$clients" ]; then
      say "    connected to the old Redis on port $new_port (address, name, last command):"
      while read -r _ address _ name command _; do say "      $address $name $command"; done <<<"$clients"
      return 1
    fi
    sleep 0.1
  done
}

# From where fewer clients have come to the daemon than were moved, by address and name.
not_back() {
  { sed 's/^/moved /' "$state/moved"; foreign "$port" | sed 's/^/came /'; } | awk '
    { sub(/:[0-9]+$/, "", $3); missing[$3 " (" ($5 == "-" ? "without a name" : $5) ")"] += $1 == "moved" ? 1 : -1 }
    END { for (from in missing) if (missing[from] > 0) print "not back yet: " missing[from] " from " from }'
}
