#!/usr/bin/env bash
# The questions of deploy/takeover.sh to the old Redis and the new buses, and the checks before it changes anything. takeover.sh sources
# this file; it has the settings and functions.
# shellcheck disable=SC2034,SC2154

objections=() active_buses=()
declare -A users=() # of the configuration: " nopass", or the hashes of the passwords
# The commands that engines may use and the daemon refuses. Those of operators and monitoring are not among them.
refused_commands="flushall flushdb swapdb move migrate xsetid xcfgset xnack"

# ---------------------------------------------------------------------- the old Redis

# ask PORT WORD...
ask() { timeout 5 redis-cli -h "$host" -p "$@" 2>&1 || true; }
# Standard input holds commands, one a line. Their connection has a name, so that it is known for our own.
ask_all() { { echo "CLIENT SETNAME dualbus-takeover"; cat; } | timeout 10 redis-cli -h "$host" -p "$1" 2>&1 || true; }
setting() { ask "$1" CONFIG GET "$2" | tail -n 1; }
field() { sed -nE "s/^$1:([^\r]*)\r?$/\1/p" <<<"$info" | head -n 1; }

# A Valkey names the Redis whose commands it has as redis_version.
server_title() { if [[ $info == *valkey_version:* ]]; then echo "Valkey $(field valkey_version)"; else echo "Redis $(field redis_version)"; fi; }
# counted NUMBER NOUN [PLURAL]
counted() { if [ "$1" = 1 ]; then echo "1 $2"; else echo "${1:-0} ${3:-$2s}"; fi; }
# Of all databases; an empty one has no line.
all_keys() { sed -nE 's/^db[0-9]+:keys=([0-9]+).*/\1/p' <<<"$info" | awk '{ sum += $1 } END { print sum + 0 }'; }

# Succeeds if a Redis answers on the port, and not dualbusd.
is_redis() {
  local info
  info=$(ask "$1" INFO server)
  [[ $info == *redis_version:* && $info != *dualbus_version:* ]]
}

is_daemon() { [[ $(ask "$1" INFO server) == *dualbus_version:* ]]; }

# refused_calls WHICH: name and calls of refused commands: of those called since the last rollback (new), or of all.
refused_calls() {
  {
    if [ "$1" = new ]; then sed 's/^/before /' "$state/commandstats" 2>/dev/null || true; fi
    echo "$info"
  } | awk -v names="$refused_commands" '
    BEGIN { count = split(names, list) }
    $1 == "before" { before[$2] = $3; next }
    match($0, /^cmdstat_[^:|]+/) { split($0, part, /[=,]/); calls[substr($0, 9, RLENGTH - 8)] += part[2] }
    END {
      for (i = 1; i <= count; i++) {
        name = list[i]
        if (calls[name] < before[name]) before[name] = 0 # counted anew since
        if (calls[name] > before[name]) print name, calls[name] - before[name]
      }
    }'
}

# The daemon itself has used some of them.
forgive_calls() {
  info=$(ask "$port" INFO everything)
  { refused_calls all >"$state/commandstats"; } 2>/dev/null || say "    $state cannot be written to: the next checks may object to what dualbusd itself has called"
}

# ---------------------------------------------------------------------- checks

object() { objections+=("$*"); }

read_config() {
  local shown kind name value more
  shown=$(tool show "$1" 2>&1) || fail "$1: $shown"
  active_buses=() users=()
  while read -r kind name value more; do
    case $kind in
      listen) listen_address=$name ;;
      admin)
        case $name in 0.0.0.0 | ::) name=127.0.0.1 ;; esac
        admin_host=$name admin_port=$value admin=$name:$value
        ;;
      bus) [ "$value" = draining ] || active_buses+=("$name $more") ;;
      pins) pins=$name ;;
      limits) read -r workers databases max_clients dedicated <<<"$name $value $more" ;;
      user) users[$name]=" $value${more:+ $more}" ;;
    esac
  done <<<"$shown"
}

check_redis() {
  local left number
  info=$(ask "$port" INFO everything)
  [[ $info == *redis_version:* ]] || fail "no Redis answers on $host:$port: ${info:0:200}"
  [[ $info != *dualbus_version:* ]] || fail "a dualbusd serves port $port already, and $state does not know of it"
  [ "$(field redis_version | cut -d. -f1)" -ge 7 ] || fail "Redis $(field redis_version) cannot change its port at run time: 7.0 can"
  [ "$(field redis_mode)" = standalone ] || fail "the Redis on port $port runs as $(field redis_mode)"
  [ "$(field role)" = master ] || fail "the Redis on port $port is a replica"
  [ "$(field loading)" = 0 ] || fail "the Redis on port $port is loading its data"
  [ "$(setting "$port" port)" = "$port" ] || fail "CONFIG GET port does not say $port: $(ask "$port" CONFIG GET port)"
  # The value it has, a client that does not exist, a time that is none: nothing changes, and it shows what is permitted.
  left=$(ask "$port" CONFIG SET port "$port")
  [ "$left" = OK ] || fail "CONFIG SET port is not permitted: $left"
  left=$(ask "$port" CLIENT KILL ID 9223372036854775807)
  [ "$left" = 0 ] || fail "CLIENT KILL is not permitted: $left"
  left=$(ask "$port" CLIENT PAUSE none WRITE)
  [[ $left == *timeout* ]] || fail "CLIENT PAUSE is not permitted: $left"
  left=$(ask "$port" CLIENT LIST TYPE normal)
  [[ $left == id=* ]] || fail "CLIENT LIST is not permitted: $left"
  ! is_taken "$new_port" || fail "port $new_port is taken$(who_listens "$new_port"); choose another with --new-port"

  left=$(refused_calls new)
  [ -z "$left" ] || object "clients have called what dualbusd refuses (calls): $(paste -sd' ' <<<"${left// /=}")"
  [ "$(field connected_slaves)" = 0 ] || object "$(counted "$(field connected_slaves)" replica): they would look for it on port $port again"
  left=$(env -u REDISCLI_AUTH timeout 5 redis-cli -h "$host" -p "$port" PING 2>&1 || true)
  [ "$left" = PONG ] || object "clients give a password: the take-over works without users alone"
  [ "$(setting "$port" tls-port)" = 0 ] || object "it has a TLS port, whose clients would come back"
  left=$(sed -nE 's/^(db[1-9][0-9]*):keys=([0-9]+).*/\1: \2/p' <<<"$info" | paste -sd,)
  [ -z "$left" ] || object "other databases than 0 hold keys ($left): they stay on the old Redis, XADD to streams there will be refused, and" \
    "clients can SELECT $([ "$databases" = 1 ] && echo 0 || echo "0 to $((databases - 1))") only (databases: $databases)"
  [ "$rewrite" = no ] || [ -n "$(field config_file)" ] || object "it runs without a configuration file: --rewrite is not possible"
  [ "$rewrite" = yes ] || [ -z "$(field config_file)" ] || say "    note: $(field config_file) keeps port $port, unless you say --rewrite"
  left=$(foreign "$port")
  while read -r number; do
    object "clients use database $number: dualbusd would refuse SELECT $number (databases: $databases)"
  done < <(awk -v most="$databases" 'NF && $10 >= most { print $10 }' <<<"$left" | sort -nu)
  if awk 'NF && $8 != "default" { found = 1 } END { exit !found }' <<<"$left"; then
    object "clients are $(awk 'NF && $8 != "default" { print $8 }' <<<"$left" | sort -u | paste -sd' '): the take-over works without users alone"
  fi
  if awk '$3 ~ /U/ { found = 1 } END { exit !found }' <<<"$left"; then object "clients use its Unix socket and would come back to it"; fi
  check_addresses "$left"
  check_capacity
  check_users
  check_streams
}

# Checks its streams for entries that clients could not reach, and for groups that nobody reads.
check_streams() {
  local kind words failure=''
  while read -r kind words; do
    case $kind in
      objection) object "$words" ;;
      note) say "    note: $words" ;;
      *) failure="$kind $words" ;;
    esac
  done < <("$python" "$root/deploy/takeover/streams.py" look "$host" "$port" 2>&1)
  [ -z "$failure" ] || object "not all of its streams could be looked at ($failure)"
}

# ask_bus ENDPOINT WORD...
ask_bus() {
  local where endpoint=$1
  shift
  if [[ $endpoint == /* ]]; then where=(-s "$endpoint"); else where=(-h "$(tr -d '[]' <<<"${endpoint%:*}")" -p "${endpoint##*:}"); fi
  env -u REDISCLI_AUTH timeout 3 redis-cli "${where[@]}" "$@" 2>&1 || true
}

check_buses() {
  local bus name endpoint reply blocked old=$info
  blocked=$(field blocked_clients)
  for bus in "${active_buses[@]}"; do
    read -r name endpoint <<<"$bus"
    reply=$(ask_bus "$endpoint" DBSIZE)
    case $reply in
      NOAUTH* | NOPERM*) ;;
      *[!0-9]* | '') fail "bus '$name' at $endpoint does not answer: $reply" ;;
    esac
    info=$(ask_bus "$endpoint" INFO everything)
    [[ $info == *redis_version:* ]] || continue # it wants the password that the daemon has
    check_empty
    check_bus_capacity "bus '$name'" "$blocked"
    [ "$(field run_id)" != "$(info=$old field run_id)" ] || fail "bus '$name' is the old Redis itself"
    [ "$(field redis_version | cut -d. -f1)" -ge 7 ] || fail "bus '$name' at $endpoint is Redis $(field redis_version): 7.0 is needed"
    [ "$(field role)" = master ] || fail "bus '$name' at $endpoint is a replica"
    if [ "$(info=$old field aof_enabled)" = 1 ] && [ "$(field aof_enabled)" = 0 ]; then
      say "    note: bus '$name' writes no append-only file, the old Redis does"
    fi
  done
  info=$old
}

# Checks the bus whose INFO is in $info. If a stream has no entry, and groups with which nobody has read, the daemon has made it in an
# earlier attempt that failed; it would make the stream again.
check_empty() {
  local keys
  keys=$(all_keys)
  [ "$keys" -gt 0 ] || return 0
  if [ "$keys" -le 10000 ] && [ "$keys" = "$(ask_bus "$endpoint" EVAL "local n = 0
      for _, key in ipairs(redis.call('KEYS', '*')) do
        if redis.call('TYPE', key).ok == 'stream' and redis.call('XLEN', key) == 0 then
          local made = 1
          for _, group in ipairs(redis.call('XINFO', 'GROUPS', key)) do
            for i = 1, #group, 2 do if group[i] == 'pending' and group[i + 1] > 0 then made = 0 end end
          end
          n = n + made
        end
      end
      return n" 0)" ]; then
    say "    note: bus '$name' holds $(counted "$keys" "empty stream") of an earlier attempt, which do no harm"
  else
    object "bus '$name' holds $(counted "$keys" key); what lies there from before would be delivered"
  fi
}

# After a takeover that failed, the new buses still hold the messages that clients have published while the daemon served.
stray_messages() {
  local bus name endpoint count
  for bus in ${active_buses[@]+"${active_buses[@]}"}; do
    read -r name endpoint <<<"$bus"
    count=$(ask_bus "$endpoint" EVAL "local n = 0
      for _, key in ipairs(redis.call('KEYS', '*')) do
        if redis.call('TYPE', key).ok == 'stream' then n = n + redis.call('XLEN', key) end
      end
      return n" 0)
    [ "$count" = 0 ] || say "    CLIENTS PUBLISHED WHILE DUALBUSD SERVED: bus '$name' at $endpoint holds $(counted "$count" entry entries) (docs/migration.md)"
  done
}

check_everything() {
  local target=$1 problem
  step "Checks; nothing is changed"
  check_room
  for problem in redis-cli timeout setsid awk; do command -v "$problem" >/dev/null || fail "$problem is missing"; done
  if [ -z "$daemon" ]; then daemon=$(find "$root/build/release" -name dualbusd -type f -perm -u+x 2>/dev/null | head -n 1); fi
  if [ -z "$daemon" ]; then daemon=$(command -v dualbusd || true); fi
  [[ $("${daemon:-false}" --version 2>/dev/null || true) == "dualbusd "* ]] || fail "'$daemon' is no dualbusd; name one with --daemon"
  read_config "$config"
  problem=$(tool forward "$config" "$target" "$port" "$host:$new_port" ${password_file:+"$password_file"} 2>&1) || fail "$problem"
  problem=$("$daemon" --check-config "$target" 2>&1) || fail "the configuration is not accepted: $problem"
  [ "$admin_port" != 0 ] || fail "admin.port is 0: without the admin listener nobody sees how it goes"
  ! is_taken "$admin_port" || fail "the admin port $admin_port is taken$(who_listens "$admin_port")"
  [ "$pins" = 0 ] || object "routing.keys pins keys: what the old Redis has under them would not be read any more"
  check_redis
  check_buses
  for problem in ${objections[@]+"${objections[@]}"}; do say "    objection: $problem"; done
  [ ${#objections[@]} -eq 0 ] || [ "$force" = yes ] || fail "$(counted ${#objections[@]} objection), nothing was changed; --force goes on in spite of them"
  say "    $(server_title), $(counted "$(field connected_clients)" connection), $(counted "$(all_keys)" key)"
}
