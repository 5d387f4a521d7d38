#!/usr/bin/env bash
# Holds the tree to the rules of the layers:
#   - a file of a layer includes its own layer and the ones above it in the list, nothing below;
#   - no headers and sources depend on one another in a circle, a header and the source of its name counting as one;
#   - a header lies in include only if another layer uses it, directly or through such a header; the others lie in src;
#   - a tool, which lies beside the layers in src, includes only those that it may use, and nobody includes a tool;
#   - resp, command, stream and the pipeline know no socket, neither directly nor through a header of ours;
#   - lines of the log that a client or a bus can cause are limited: only app, which logs what the operator causes, uses
#     spdlog directly, and the one line of admin/service;
#   - words of clients and buses go into the log through base::in_log(), which escapes and shortens them;
#   - no file of src or include is longer than 450 lines.
#
#   test/check_layers.sh [ROOT]       checks the tree (default: this one); prints every breach
#   test/check_layers.sh --self-test  breaks each rule in a scratch tree and expects to be told
set -euo pipefail

layers=(base resp command config metrics console stream backend client operation handler admin app)
declare -A tools=([ctl]='base config console' [fleet]='base resp') # and the layers that each may use
longest=450
socket_headers='boost/(asio|beast)|sys/(socket|un|epoll|poll|select|eventfd)\.h|netinet/|arpa/|netdb\.h|net/|poll\.h'
socket_headers+='|hiredis|dualbus/base/(asio|socket|poller)\.hpp'

declare -A rank=()
for index in "${!layers[@]}"; do rank[${layers[index]}]=$index; done

breaches=0
breach() {
  echo "$1" >&2
  breaches=$((breaches + 1))
}

# Reads of every file its includes, "line number:header" a line, however they are spaced and quoted, and its length.
# Also the lines where it logs without a limit, or logs somebody else's words as they are.
declare -A includes=() lengths=() unlimited=() unescaped=()
read_files() {
  local kind file line header
  [ $# -gt 0 ] || return 0
  while IFS=$'\t' read -r kind file line header; do
    case $kind in
      include) includes[$file]+="$line:$header"$'\n' ;;
      length) lengths[$file]=$line ;;
      unlimited) unlimited[$file]+="$line " ;;
      unescaped) unescaped[$file]+="$line " ;;
    esac
  done < <(awk '
    /^[ \t]*#[ \t]*include[ \t]*[<"]/ {
      header = $0
      sub(/^[^<"]*[<"]/, "", header)
      sub(/[>"].*/, "", header)
      print "include\t" FILENAME "\t" FNR "\t" header
    }
    /spdlog::(trace|debug|info|warn|error|critical|log)\(/ { print "unlimited\t" FILENAME "\t" FNR "\t" }
    # The arguments of a call that logs, without its texts and all that in_log() makes fit: no name is left that stands for
    # the words of clients or buses.
    /(info|warn|error|log)_limited\(/ { call = ""; first = FNR }
    first {
      call = call " " $0
      if (/;[ \t]*$/) {
        gsub(/"([^"\\]|\\.)*"/, "", call)
        sub(/.*(info|warn|error|log)_limited\(/, "", call)
        while (sub(/in_log\([^()]*\)/, "", call) || sub(/[a-z_]+\([^()]*\)/, "", call)) {}
        if (call ~ /[^a-z_](key|group|channel|consumer|args|fault|words|reply|((key|reply|answer|what|what_)\.(name|bytes|text|key|group)))_?[,)]/)
          print "unescaped\t" FILENAME "\t" first "\t"
        first = 0
      }
    }
    { length_of[FILENAME] = FNR }
    END { for (file in length_of) print "length\t" file "\t" length_of[file] "\t" }' "$@")
}

# Leaves in `behind` the file of ours behind an include, or nothing: <dualbus/...>, a private header beside the file, or one of
# another folder of its layer, "LAYER/FOLDER/NAME.hpp".
file_behind() {
  local header=$1 from=$2
  if [ -n "${lengths[include/$header]:-}" ]; then
    behind=include/$header
  elif [ -n "${lengths[${from%/*}/$header]:-}" ]; then
    behind=${from%/*}/$header
  elif [ -n "${lengths[src/$header]:-}" ]; then
    behind=src/$header
  else
    behind=
  fi
}

# may_include LAYER_OR_TOOL TARGET: both exist.
may_include() {
  if [ -n "${tools[$1]:-}" ]; then
    [[ " ${tools[$1]} " == *" $2 "* ]]
  else
    [ "${rank[$2]}" -le "${rank[$1]}" ]
  fi
}

check_order() {
  local file=$1 layer=$2 line header target
  while IFS=: read -r line header; do
    [ -n "$header" ] || continue
    case $header in
      dualbus/*/*)
        target=${header#dualbus/}
        target=${target%%/*}
        if [ -z "${rank[$target]:-}" ]; then
          breach "$file:$line: includes <$header>, and '$target' is no layer"
        elif ! may_include "$layer" "$target"; then
          if [ -n "${tools[$layer]:-}" ]; then
            breach "$file:$line: tool '$layer' includes <$header>, which it may not use"
          else
            breach "$file:$line: layer '$layer' includes <$header>, which is below it"
          fi
        fi
        ;;
      ../* | */../* | */src/* | src/*)
        breach "$file:$line: includes \"$header\" past the layers; use <dualbus/LAYER/...> or a header of the same layer"
        ;;
      */*)
        target=${header%%/*}
        if [ "$target" != "$layer" ] && [ -n "${lengths[src/$header]:-}" ]; then
          breach "$file:$line: includes \"$header\" past the layers; use <dualbus/LAYER/...> or a header of the same layer"
        fi
        ;;
    esac
  done <<<"${includes[$file]:-}"
}

# Walks the includes that are ours; `via` tells the way for the message.
check_no_socket() {
  local start=$1 current header line behind
  local -A seen=(["$start"]=1) via=(["$start"]=$start)
  local queue=("$start")
  while [ ${#queue[@]} -gt 0 ]; do
    current=${queue[0]}
    queue=("${queue[@]:1}")
    while IFS=: read -r line header; do
      [ -n "$header" ] || continue
      if [[ $header =~ ^($socket_headers) ]]; then
        breach "${via[$current]}:$line: must not know sockets, but includes <$header>"
      fi
      file_behind "$header" "$current"
      if [ -n "$behind" ] && [ -z "${seen[$behind]:-}" ]; then
        seen[$behind]=1
        via[$behind]="${via[$current]} -> $behind"
        queue+=("$behind")
      fi
    done <<<"${includes[$current]:-}"
  done
}

# LAYER/NAME of a file: what a header and its source have in common.
component_of() {
  component=${1#src/}
  component=${component#include/dualbus/}
  component=${component%%.*}
}

# Leaves the dependencies between components in `edges`, and the headers of include that are not their layer's own in `shared`.
edges=
declare -A shared=()
note_uses() {
  local file=$1 layer=$2 line header behind component from target
  component_of "$file"
  from=$component
  while IFS=: read -r line header; do
    [ -n "$header" ] || continue
    file_behind "$header" "$file"
    [ -n "$behind" ] || continue
    component_of "$behind"
    target=${component%%/*}
    if [[ $behind == include/* ]] && { [[ $file == include/* ]] || [ "$target" != "$layer" ]; }; then shared[$behind]=1; fi
    if [ "$component" != "$from" ]; then edges+="$from $component"$'\n'; fi
  done <<<"${includes[$file]:-}"
}

check_circles() {
  local members
  members=$(tsort <<<"$edges" 2>&1 >/dev/null | sed -nE 's/^tsort: ([^-].*)/\1/p' | sort -u | paste -sd ' ' || true) # tsort fails if there is one
  [ -z "$members" ] || breach "$members: depend on one another in a circle"
}

check_tree() {
  local file layer lines files
  cd "$1"
  mapfile -t files < <(find src include -type f \
    \( -name '*.hpp' -o -name '*.cpp' -o -name '*.h' -o -name '*.ipp' -o -name '*.hpp.in' \) | LC_ALL=C sort)
  read_files "${files[@]}"
  for file in "${files[@]}"; do
    lines=${lengths[$file]:-0}
    [ "$lines" -le $longest ] || breach "$file: $lines lines, more than $longest"
    layer=${file#src/}
    layer=${layer#include/dualbus/}
    layer=${layer%%/*}
    if [ -z "${rank[$layer]:-}" ] && { [ -z "${tools[$layer]:-}" ] || [[ $file != src/* ]]; }; then
      breach "$file: lies in no layer"
      continue
    fi
    check_order "$file" "$layer"
    note_uses "$file" "$layer"
    case $file in
      */base/log* | src/app/* | src/admin/service.cpp) ;;
      *) [ -z "${unlimited[$file]:-}" ] || breach "$file:${unlimited[$file]%% *}: logs without a limit; use base::info_limited() and its kin" ;;
    esac
    [ -z "${unescaped[$file]:-}" ] || [[ $file == */base/log* ]] || breach "$file:${unescaped[$file]%% *}: logs somebody else's words; put them through base::in_log()"
    case $file in
      src/resp/* | src/command/* | src/stream/* | src/backend/pipeline* | include/dualbus/resp/* | include/dualbus/command/* | \
        include/dualbus/stream/* | include/dualbus/backend/pipeline*)
        check_no_socket "$file"
        ;;
    esac
  done
  for file in "${files[@]}"; do
    [[ $file == include/*.hpp && -z ${shared[$file]:-} ]] || continue
    breach "$file: only its own layer uses it; move it to src"
  done
  check_circles
  [ ${#files[@]} -gt 0 ] || breach "$1: no source files found under src and include"
  echo "check_layers.sh: ${#files[@]} files, $breaches breaches"
  [ "$breaches" -eq 0 ]
}

self_test() {
  local failures=0
  scratch=$(mktemp -d) # not local: the trap runs after this function
  trap 'rm -rf "$scratch"' EXIT

  fresh_tree() {
    rm -rf "${scratch:?}/tree"
    mkdir -p "$scratch"/tree/{src,include/dualbus}/{base,resp,command,backend,handler} "$scratch/tree/src/fleet"
    echo '#include <string>' >"$scratch/tree/include/dualbus/base/text.hpp"
    echo '#include <sys/socket.h>' >"$scratch/tree/include/dualbus/base/socket.hpp"
    echo '#include <dualbus/base/text.hpp>' >"$scratch/tree/include/dualbus/resp/parser.hpp"
    echo '#include <dualbus/resp/parser.hpp>' >"$scratch/tree/src/handler/dispatcher.cpp"
    echo '#include <dualbus/base/socket.hpp>' >"$scratch/tree/src/backend/connection.cpp"
    echo '#include <dualbus/resp/parser.hpp>' >"$scratch/tree/src/backend/pipeline.cpp"
    echo '#include <dualbus/resp/parser.hpp>' >"$scratch/tree/src/fleet/connection.cpp"
  }
  # expect WHAT TEXT: the tree as it stands is refused with a message that contains TEXT.
  expect() {
    local output
    if output=$("$0" "$scratch/tree" 2>&1); then
      echo "self-test: not noticed: $1" >&2
      failures=$((failures + 1))
    elif [[ $output != *"$2"* ]]; then
      printf 'self-test: %s: expected "%s", got:\n%s\n' "$1" "$2" "$output" >&2
      failures=$((failures + 1))
    fi
    fresh_tree
  }

  fresh_tree
  if ! "$0" "$scratch/tree" >/dev/null; then
    echo "self-test: a clean tree is refused" >&2
    failures=$((failures + 1))
  fi
  echo '  #  include "dualbus/handler/dispatcher.hpp"' >>"$scratch/tree/src/resp/parser.cpp"
  expect 'an include that points down' "src/resp/parser.cpp:1: layer 'resp' includes <dualbus/handler/dispatcher.hpp>"
  echo '#include <dualbus/command/router.hpp>' >>"$scratch/tree/include/dualbus/resp/parser.hpp"
  expect 'a public header that points down' "include/dualbus/resp/parser.hpp:2: layer 'resp'"
  echo '#include "../handler/private.hpp"' >"$scratch/tree/src/backend/a.cpp"
  expect 'a relative include' 'past the layers'
  echo >"$scratch/tree/src/handler/private.hpp"
  echo '#include "handler/private.hpp"' >"$scratch/tree/src/backend/a.cpp"
  expect 'a private header of another layer' 'past the layers'
  echo '#include <dualbus/util/x.hpp>' >"$scratch/tree/src/backend/a.cpp"
  expect 'an unknown layer' "'util' is no layer"
  echo '#include <dualbus/handler/dispatcher.hpp>' >>"$scratch/tree/src/fleet/connection.cpp"
  expect 'a tool that uses the daemon' "src/fleet/connection.cpp:2: tool 'fleet' includes <dualbus/handler/dispatcher.hpp>"
  echo '#include <dualbus/fleet/connection.hpp>' >>"$scratch/tree/src/handler/dispatcher.cpp"
  expect 'a layer that uses a tool' "'fleet' is no layer"
  mkdir "$scratch/tree/include/dualbus/fleet" && echo >"$scratch/tree/include/dualbus/fleet/x.hpp"
  expect 'a tool with public headers' 'include/dualbus/fleet/x.hpp: lies in no layer'
  mkdir "$scratch/tree/src/util" && echo >"$scratch/tree/src/util/x.cpp"
  expect 'a folder that is no layer' 'src/util/x.cpp: lies in no layer'
  echo '#include "b.hpp"' >"$scratch/tree/src/backend/a.hpp"
  echo >"$scratch/tree/src/backend/b.hpp"
  echo '#include "a.hpp"' >"$scratch/tree/src/backend/b.cpp"
  expect 'a circle of headers and sources' 'backend/a backend/b: depend on one another in a circle'
  echo >"$scratch/tree/include/dualbus/backend/own.hpp"
  echo '#include <dualbus/backend/own.hpp>' >"$scratch/tree/src/backend/own.cpp"
  expect 'a header in include that only its layer uses' 'include/dualbus/backend/own.hpp: only its own layer uses it'
  echo '#include <boost/asio.hpp>' >"$scratch/tree/src/command/a.cpp"
  expect 'Asio in command' 'src/command/a.cpp:1: must not know sockets'
  echo '#include <dualbus/base/poller.hpp>' >>"$scratch/tree/src/backend/pipeline.cpp"
  expect 'a poller in the pipeline' 'src/backend/pipeline.cpp:2: must not know sockets'
  echo '#include <dualbus/base/socket.hpp>' >>"$scratch/tree/include/dualbus/base/text.hpp"
  expect 'a socket through two headers' 'src/backend/pipeline.cpp -> include/dualbus/resp/parser.hpp -> include/dualbus/base/text.hpp:2'
  echo '  spdlog::warn("x");' >>"$scratch/tree/src/handler/dispatcher.cpp"
  expect 'a line of the log without a limit' 'src/handler/dispatcher.cpp:2: logs without a limit'
  echo '  base::warn_limited({}, "x {}", key);' >>"$scratch/tree/src/handler/dispatcher.cpp"
  expect 'words of a client in the log' "src/handler/dispatcher.cpp:2: logs somebody else's words"
  printf '%s\n' '  base::warn_limited(bus_name(key), "x {} key {}", base::in_log(key),' '      base::in_log(a ? b(key) : c.reply.substr(1), 200));' \
    >>"$scratch/tree/src/handler/dispatcher.cpp"
  if ! "$0" "$scratch/tree"; then failures=$((failures + 1)); fi
  fresh_tree
  seq $((longest + 1)) | sed 's|^|// |' >"$scratch/tree/src/handler/long.cpp"
  expect 'a long file' "src/handler/long.cpp: $((longest + 1)) lines"
  rm -rf "$scratch/tree/src" "$scratch/tree/include" && mkdir "$scratch/tree/src" "$scratch/tree/include"
  expect 'an empty tree' 'no source files found'

  [ $failures -eq 0 ] && echo 'check_layers.sh: self-test passed'
}

if [ "${1:-}" = --self-test ]; then
  self_test
else
  check_tree "${1:-$(dirname "${BASH_SOURCE[0]}")/..}"
fi
