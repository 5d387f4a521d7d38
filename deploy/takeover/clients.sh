#!/usr/bin/env bash
# Lists the clients of a Redis, and moves them to the daemon. deploy/takeover.sh sources this file; it has the settings and
# functions.
# shellcheck disable=SC2034,SC2154

# CLIENT PAUSE lasts no longer than this; shorter than backend.request_timeout, because the daemon's writes wait, too.
pause_ms=4000
# A client whose unsent output has not changed for so long while writes are held back does not read.
stuck_ms=500
# The time for which such a client is spared.
patience_ms=8000

# foreign PORT: every client that is neither the daemon nor we: its ID, address, flags, name, last command, unsent output, the
# port through which it came, its user, the address to which it has connected, and its database. Fails when there is no answer. The daemon
# comes through the new port: whoever bears its names and came through another is a client.
foreign() {
  printf 'CLIENT LIST TYPE normal\nCLIENT LIST TYPE pubsub\n' | ask_all "$1" | awk -v port="$1" -v new="$new_port" '
    /^id=/ {
      delete at
      for (i = 1; i <= NF; i++) { eq = index($i, "="); at[substr($i, 1, eq - 1)] = substr($i, eq + 1) }
      if (at["name"] == "dualbus-takeover") answered = 1
      came = to = at["laddr"]
      sub(/.*:/, "", came)
      sub(/:[^:]*$/, "", to)
      if (at["name"] ~ /^dualbus-takeover(:|$)/ || (at["name"] ~ /^dualbusd(-drain|-info)?$/ && came == new)) next
      print at["id"], at["addr"], at["flags"], (at["name"] == "" ? "-" : at["name"]), at["cmd"], at["obl"] + at["oll"], came, at["user"], to, at["db"]
    }
    END { if (!answered) { print "takeover.sh: port " port " does not list its clients" >"/dev/stderr"; exit 1 } }'
}

# Prints those clients on standard input that came through the old port; somebody has told the others about the new one.
to_move() { awk -v new="$new_port" 'NF && $7 != new'; }

# close_clients CLIENTS: their connections to the old Redis.
close_clients() {
  note_moved "$1"
  awk '{ print "CLIENT KILL ID", $1 }' <<<"$1" | ask_all "$new_port" >/dev/null
  closed=$((closed + $(wc -l <<<"$1")))
}

# Closes the connections of clients that wait for no answer, at a moment at which this stays so. While CLIENT PAUSE WRITE
# holds back XADD, XREADGROUP and XACK, nothing is delivered, and a command that never gets an answer was not
# executed, so the client may send it again. Waits for clients that read, but not for those that do not: see stuck_ms.
close_idle() {
  local clients busy before='' since started idle
  paused=yes
  [ "$(ask "$new_port" CLIENT PAUSE $pause_ms WRITE)" = OK ] || fail "the old Redis does not hold back writes: run this again"
  started=$(now_ms) since=$started
  # A reply that the kernel has been given needs a moment to reach another machine.
  sleep 0.2
  while :; do
    clients=$(list_to_move)
    busy=$(awk '$6 > 0 { print $1, $6 }' <<<"$clients")
    if [ "$busy" != "$before" ]; then before=$busy since=$(now_ms); fi
    if [ -z "$busy" ] || [ $(($(now_ms) - since)) -gt $stuck_ms ] || [ $(($(now_ms) - started)) -gt $((pause_ms / 2)) ]; then break; fi
    sleep 0.02
  done
  idle=$(awk 'NF && $6 == 0' <<<"$clients")
  if [ -n "$idle" ]; then
    # On a busy machine much of the time may be over, and closing takes a while.
    ask "$new_port" CLIENT PAUSE $pause_ms WRITE >/dev/null
    close_clients "$idle"
  fi
  ask "$new_port" CLIENT UNPAUSE >/dev/null
  paused=no
  say "    writes held back for $(($(now_ms) - started)) ms, $(counted "$closed" connection) closed, $(grep -c . <<<"$busy" || true) with unread replies"
}

list_to_move() { foreign "$new_port" | to_move || fail "the old Redis on $host:$new_port does not list its clients: run this again"; }

# Writes are held back once for everybody. Clients that do not read their replies are waited for afterwards, while writes go on.
push_clients() {
  local clients closed=0 until
  clients=$(list_to_move)
  [ -n "$clients" ] || return 0
  close_idle
  until=$(($(now_ms) + patience_ms))
  while clients=$(list_to_move) && [ -n "$clients" ]; do
    if [ "$(now_ms)" -gt $until ]; then
      close_clients "$clients"
      say "    $(counted "$(wc -l <<<"$clients")" client) did not read the replies for $((patience_ms / 1000)) s and were closed all the same:"
      while read -r _ address _ name command _; do say "      $address $name $command"; done <<<"$clients"
      break
    fi
    if awk '$6 == 0 { found = 1 } END { exit !found }' <<<"$clients"; then close_idle; else sleep 0.1; fi
  done
}

# Succeeds when nobody came back.
watch_old_redis() {
  local end=$(($(now_ms) + watch * 1000)) clients
  while [ "$(now_ms)" -lt $end ]; do
    # A client that has sent nothing yet may be dualbusd, which is about to say so.
    clients=$(foreign "$new_port" 2>/dev/null | awk '$5 != "NULL"') || return 0 # it is asked for itself afterwards
    if [ -n "$clients" ]; then
      say "    connected to the old Redis on port $new_port (address, name, last command):"
      while read -r _ address _ name command _; do say "      $address $name $command"; done <<<"$clients"
      return 1
    fi
    sleep 0.1
  done
}

# Prints the addresses and names from which fewer clients have come to the daemon than were moved.
not_back() {
  { sed 's/^/moved /' "$state/moved"; foreign "$port" | sed 's/^/came /'; } | awk '
    { sub(/:[0-9]+$/, "", $3); missing[$3 " (" ($5 == "-" ? "without a name" : $5) ")"] += $1 == "moved" ? 1 : -1 }
    END { for (from in missing) if (missing[from] > 0) print "not back yet: " missing[from] " from " from }'
}
