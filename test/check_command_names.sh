#!/usr/bin/env bash
# Holds the tree to one rule: facts about commands are columns of the command table, so no code compares the name of a command
# but the command layer and the handlers, which are the code of the commands themselves. Breaches are:
#   - the name in a row of the table compared with anything, whole or in part: `spec.name == x`, `spec.name.ends_with(x)`;
#   - a variable whose name ends in `name` compared with the name of a command: `name == "eval"`, `is_word(name, "eval")`;
#   - the first word of a request compared with the name of a command: `is_word(args[0], "xreadgroup")`.
# Option words may be called like commands (GET of SORT, TYPE of SCAN); a comparison of any other argument is none of these.
#
#   test/check_command_names.sh [ROOT]       checks the tree (default: this one); prints every breach and how many there are
#   test/check_command_names.sh --self-test  breaks the rule in a scratch tree and expects to be told
set -euo pipefail

table=src/command/command_table.cpp
exempt=(src/command include/dualbus/command src/handler include/dualbus/handler)

# The names in the rows of the table, one a line.
names_of_commands() { sed -nE 's/^ *\{"([a-z_-]+)", -?[0-9]+, "[A-Za-z]*", .*/\1/p' "$table"; }

# comparisons FILE...: prints "file:line: text" of each. Comments do not count.
comparisons() {
  [ $# -gt 0 ] || return 0
  awk -v names="$(names_of_commands | paste -sd ' ')" '
    BEGIN { split(names, list, " "); for (i in list) is_command[list[i]] = 1 }
    # True if `text` holds a piece that `pattern` fits, with the name of a command in quotes.
    function names_one(text, pattern,   piece) {
      while (match(text, pattern)) {
        piece = substr(text, RSTART, RLENGTH)
        text = substr(text, RSTART + RLENGTH)
        if (match(piece, /"[a-z_-]+"/) && substr(piece, RSTART + 1, RLENGTH - 2) in is_command) return 1
      }
      return 0
    }
    function compares(text) {
      if (text ~ /spec(\.|->)name *(==|!=|<)/ || text ~ /(==|!=|<) *[a-z_]*spec(\.|->)name/) return 1
      if (text ~ /spec(\.|->)name(\.(starts_with|ends_with|find|compare|substr|front|back)[a-z_]*\(|\[)/) return 1
      if (text ~ /command_table\(\)\[[^]]*(\[[^]]*\][^]]*)*\]\.name *(==|!=)/) return 1
      if (text ~ /(find|count|binary_search|equals_ignoring_case|is_word|contains)\([^;]*spec(\.|->)name *[,)]/) return 1
      return names_one(text, "name_? *(==|!=) *\"[a-z_-]+\"") || names_one(text, "\"[a-z_-]+\" *(==|!=) *[a-z_.>-]*name") ||
             names_one(text, "(is|is_word|equals_ignoring_case)\\([^()\"]*(\\[0\\]|name_?), *\"[a-z_-]+\"") ||
             names_one(text, "\\[0\\] *(==|!=) *\"[a-z_-]+\"")
    }
    {
      code = $0
      sub(/\/\/.*/, "", code)
      if (compares(code)) print FILENAME ":" FNR ": " $0
    }' "$@"
}

# sources FOLDER...: files of source below those that exist.
sources() {
  local folder
  for folder in "$@"; do
    [ ! -d "$folder" ] || find "$folder" -type f \( -name '*.hpp' -o -name '*.cpp' -o -name '*.h' -o -name '*.ipp' \)
  done | LC_ALL=C sort
}

check_tree() {
  local all passed_over files found names
  cd "$1"
  names=$(names_of_commands | wc -l)
  [ "$names" -gt 0 ] || { echo "$1: no commands found in $table" >&2 && return 1; }
  all=$(sources src include)
  passed_over=$(sources "${exempt[@]}")
  mapfile -t files < <(LC_ALL=C comm -23 <(echo "$all") <(echo "$passed_over"))
  mapfile -t found < <(comparisons "${files[@]}")
  [ ${#found[@]} -eq 0 ] || printf 'compares the name of a command, ask the command table for a fact: %s\n' "${found[@]}" >&2
  echo "check_command_names.sh: $names commands, ${#found[@]} comparisons"
  [ ${#found[@]} -eq 0 ]
}

self_test() {
  local failures=0
  scratch=$(mktemp -d) # not local: the trap runs after this function
  trap 'rm -rf "$scratch"' EXIT

  fresh_tree() {
    rm -rf "${scratch:?}/tree"
    mkdir -p "$scratch"/tree/{src,include/dualbus}/{command,client,handler}
    printf '%s\n' 'constexpr command_spec rows[] = {' '    {"eval", -3, "stMKk", 0, 0, 0, group::scripting, "2.6.0", key_form::numkeys2,' \
      '     fact::brings_script},' '    {"restore-asking", -4, "wmA", 1, 1, 1, group::server, "3.0.0", key_form::range},' '};' \
      >"$scratch/tree/$table"
    echo '  if (spec.name == "eval") return;' >"$scratch/tree/src/command/router.cpp"
    echo '  if (spec.name == "eval") return;' >"$scratch/tree/src/handler/scripts.cpp"
    printf '%s\n' '  // spec.name == "eval" was here.' '  if (is_word(args[1], "eval") || part == "eval" || name == "redis") return;' \
      '  text += spec.name;' '  log(spec.name, a == b);' >"$scratch/tree/src/client/user.cpp"
  }
  # expect LINE: a file with that line is refused, and the message tells the place and the number.
  expect() {
    local output
    echo "$1" >"$scratch/tree/src/client/a.cpp"
    if output=$("$0" "$scratch/tree" 2>&1); then
      echo "self-test: not noticed: $1" >&2
      failures=$((failures + 1))
    elif [[ $output != *"src/client/a.cpp:1: $1"* || $output != *' 1 comparisons'* ]]; then
      printf 'self-test: %s: not told well:\n%s\n' "$1" "$output" >&2
      failures=$((failures + 1))
    fi
    fresh_tree
  }

  fresh_tree
  if ! "$0" "$scratch/tree" >/dev/null; then
    echo "self-test: a clean tree is refused" >&2
    failures=$((failures + 1))
  fi
  expect '  if (spec.name == "eval") return;'
  expect '  if (spec->name != eval_name) return;'
  expect '  return "restore-asking" == spec.name;'
  expect '  return command_table()[index].name == "eval";'
  expect '  return command_table()[places[i]].name != other;'
  expect '  return spec.name.ends_with("_ro");'
  expect "  return spec.name[0] == 'p';"
  expect '  return std::find(std::begin(names), std::end(names), spec.name) != std::end(names);'
  expect '  copies_ = name == "restore-asking";'
  expect '  if (base::equals_ignoring_case(what.args[0], "eval")) return;'
  expect '  if (is(name, "restore-asking")) return;'
  expect '  if (args[0] == "eval") return;'
  echo >"$scratch/tree/$table"
  if "$0" "$scratch/tree" >/dev/null 2>&1; then
    echo "self-test: not noticed: a table without commands" >&2
    failures=$((failures + 1))
  fi

  [ $failures -eq 0 ] && echo 'check_command_names.sh: self-test passed'
}

if [ "${1:-}" = --self-test ]; then
  self_test
else
  check_tree "${1:-$(dirname "${BASH_SOURCE[0]}")/..}"
fi
