#!/usr/bin/env bash
# Checks of deploy/takeover.sh: dualbusd must be able to serve all clients of the old Redis. They concern addresses, numbers of
# connections, and users. takeover.sh sources this file; it has the settings and functions.
# shellcheck disable=SC2154

# File descriptors that the daemon needs besides those of its clients.
other_descriptors=256

# Succeeds if clients that connect to this address reach the daemon. It listens on one address; :: does not include IPv4.
is_served() {
  case $listen_address in
    0.0.0.0) [[ $1 != *:* ]] ;;
    ::) [[ $1 == *:* ]] ;;
    *) [ "$1" = "$listen_address" ] ;;
  esac
}

# check_addresses CLIENTS: CLIENTS as foreign lists them.
check_addresses() {
  local count address bound
  if [[ $host =~ ^[0-9.]+$ || $host == *:* ]] && ! is_served "$host"; then
    fail "listen.address is $listen_address, which is not reached at --host $host"
  fi
  while read -r count address; do
    is_served "$address" || object "$(counted "$count" client) connected to $address, and listen.address is $listen_address"
  done < <(awk 'NF && $9 !~ /^\// { gsub(/[][]/, "", $9); print $9 }' <<<"$1" | sort | uniq -c)
  read -ra bound < <(setting "$port" bind)
  for address in "${bound[@]#-}"; do
    case $address in
      '*') [ "$listen_address" = 0.0.0.0 ] || say "    note: it listens on every IPv4 address, dualbusd will listen on $listen_address" ;;
      '::*') [ "$listen_address" = :: ] || say "    note: it listens on every IPv6 address, dualbusd will listen on $listen_address" ;;
      *) is_served "$address" || say "    note: it listens on $address, dualbusd will listen on $listen_address" ;;
    esac
  done
}

# Connections that the daemon makes to each bus: for requests, watching and Pub/Sub, INFO and draining, and for those that block.
connections_needed() {
  local blocked=${1:-0} most=$((workers * dedicated))
  echo $((workers * 3 + 2 + (blocked < most ? blocked : most)))
}

check_capacity() {
  local connected most left
  connected=$(field connected_clients)
  [ "$connected" -le "$max_clients" ] || object "$connected clients are connected, and limits.max_clients is $max_clients"
  most=$(ulimit -Hn)
  if [ "$most" != unlimited ] && [ $((connected + other_descriptors)) -gt "$most" ]; then
    left=$((most > other_descriptors ? most - other_descriptors : 1))
    object "$connected clients are connected, and dualbusd may open $most files (ulimit -Hn), which leaves $left for clients"
  fi
  check_bus_capacity "the old Redis" "$(field blocked_clients)"
}

# check_bus_capacity NAME BLOCKED: checks the Redis whose INFO is in $info.
check_bus_capacity() {
  local most connected needed
  most=$(field maxclients) connected=$(field connected_clients) needed=$(connections_needed "$2")
  [ -n "$most" ] || return 0
  [ $((most - connected)) -ge "$needed" ] || object "$1 takes $most clients (maxclients), of which $connected are there: dualbusd needs up to $needed more"
}

# Passwords are compared by their SHA-256, which both sides have.
check_users() {
  local list name hashes hash enabled
  list=$(ask "$port" ACL LIST)
  if [[ $list != user\ * ]]; then
    say "    note: its users cannot be seen (ACL LIST: ${list:0:100}); engines that log in as one of them will fail"
    return
  fi
  if [ ${#users[@]} -gt 0 ] && [ "${users[default]-}" != " nopass" ]; then
    object "auth.users has no user default with nopass: engines that do not log in, and this script, would get NOAUTH"
  fi
  while read -r _ name enabled hashes; do
    if [ "$enabled" != on ] || [ "$name" = default ]; then continue; fi
    hashes=$(grep -oE '(^| )(nopass|#[0-9a-f]{64})' <<<"$hashes" | tr -d ' #' || true)
    [ -n "$hashes" ] || continue # nobody can log in as this one
    if [ -z "${users[$name]+known}" ]; then
      object "the Redis has a user $name, and auth.users has not: engines that log in as $name would get WRONGPASS"
      continue
    fi
    for hash in $hashes; do
      [[ " ${users[$name]} " == *" nopass "* || " ${users[$name]} " == *" $hash "* ]] ||
        object "user $name: a password of the Redis is not among those in auth.users"
    done
  done <<<"$list"
}
