#include "key_table.hpp"

#include <dualbus/base/roff.hpp>
#include <dualbus/config/reference.hpp>

#include <string_view>
#include <vector>

namespace dualbus::config {
namespace {

constexpr std::string_view introduction = R"(# Configuration

<!-- The output of `dualbusd --config-reference`: change the key table and run it again. -->

`dualbusd` reads one YAML file. `dualbusd --check-config FILE` checks it without starting anything and reports
every mistake at once, with line and column:

```
dualbus.yaml:3:1: lisen: unknown key 'lisen', did you mean 'listen'?
dualbus.yaml:8:18: buses.marketdata.id_slot: must be between 0 and 127, not '128'
dualbus.yaml:15:16: routing.default_bus: unknown bus 'engine', did you mean 'engine_logic'?
```

Only `buses` must be there; everything else has a default. Values are taken as they are written:

- Integers are decimal without leading zeros. `0777`, `1e3`, `yes` and the like are mistakes where a number is
  expected and plain text where a text is; quotes around a value change nothing.
- Bytes are written as in redis.conf: `10000`, `64kb`, `64mb`, `1gb`. `kb`, `mb` and `gb` are powers of 1024,
  `k`, `m` and `g` powers of 1000.
- Durations carry a unit: `500us`, `1ms`, `1s`, `5m`, `1h`. Only `0` needs none.
- Aliases (`*name`), tags (`!!int`), a key twice in one map, a second document, files above 1 MiB and bytes that
  are not UTF-8 are refused.

`SIGHUP` makes the daemon read the file again; no key needs a restart. "At once" below marks the keys that all
workers follow between two requests. For a change of the others the daemon starts new workers, which take the
clients over as a new process would: see [availability.md](availability.md#changing-buses-at-run-time).

Editors can check the file while it is written, and explain its keys: `dualbusd --config-schema` prints a JSON Schema of
it (an installed one is `share/dualbus/dualbus.schema.json` under the prefix). With the YAML language server, which
Visual Studio Code, Vim, Emacs and others use, the first line of the file names the schema:

```
# yaml-language-server: $schema=/usr/share/dualbus/dualbus.schema.json
```

A schema does not know what keys must fulfil together; `--check-config` has the last word.
)";

constexpr std::string_view example = R"(## Example

Two buses, the Redis that they replace, and a few rules:

```yaml
listen: {address: 127.0.0.1, port: 6379}
admin: {address: 127.0.0.1, port: 9121}
workers: 1
buses:
  marketdata: {id_slot: 1, endpoint: "127.0.0.1:6380", latency_target: 1ms}
  engine_logic: {id_slot: 2, endpoint: "127.0.0.1:6381", latency_target: 500us}
  main: {id_slot: 0, endpoint: "127.0.0.1:6382", state: draining}
anchor: engine_logic
routing:
  field: message_type
  json_fields: [payload, data, message]
  default_bus: engine_logic
  types:
    marketdata: [market_data, price_update, trade_execution]
    engine_logic: [vpin_calculation, "risk_*", order_request]
  keys:
    - {match: "md:*", bus: marketdata}
    - {match: "legacy:*", bus: main}
missing_group: {action: create, start: "0"}
draining: {quiet: 30s, ignore_groups: [{key: "legacy-*", group: old-group}]}
limits:
  max_clients: 10000
  max_request: 64mb
  idle_timeout: 5m
log: {level: info}
```
)";

std::string_view type_name(value_type type) {
  switch (type) {
    case value_type::text:
      return "text";
    case value_type::integer:
      return "integer";
    case value_type::mode:
      return "octal permissions";
    case value_type::bytes:
      return "bytes";
    case value_type::duration:
      return "duration";
    case value_type::choice:
      return "one of";
    case value_type::address:
      return "IP address";
    case value_type::socket_path:
      return "absolute path";
    case value_type::endpoint:
      return "endpoint";
    case value_type::endpoint_list:
      return "list of endpoints";
    case value_type::pointer:
      return "JSON pointer";
    case value_type::bus:
      return "name of a bus";
    case value_type::text_list:
      return "list of texts";
  }
  return "";
}

std::string default_of(const key_row& row) {
  if (row.required) return "required";
  if (row.fallback.empty()) return "default: " + std::string(row.fallback_note);
  return "default: `" + std::string(row.fallback) + "`";
}

std::string_view section_of(std::string_view path) {
  return path.substr(0, path.find('.'));
}

std::string describe(const key_row& row) {
  std::string text;
  // A key without a section of its own has its heading already.
  if (find_section(section_of(row.path)) != nullptr) text += "### `" + std::string(row.path) + "`\n\n";
  text += "*" + std::string(type_name(row.type));
  if (row.type == value_type::choice) {
    std::string_view separator = " ";
    for (const std::string_view choice : choices_of(row)) {
      text.append(separator).append("`").append(choice).append("`");
      separator = ", ";
    }
  } else if (const std::string range = range_of(row); !range.empty()) {
    text += (row.type == value_type::text_list ? " of " : ", ") + range;
    if (row.type == value_type::text_list) text += " each";
  }
  text += "; " + default_of(row);
  text += row.reload ? "; a reload changes it at once*\n\n" : "; a reload changes it with new workers*\n\n";
  return text.append(row.meaning).append("\n");
}

}  // namespace

std::string reference_markdown() {
  std::string text(introduction);
  std::string_view section;
  for (const key_row& row : key_rows()) {
    if (section_of(row.path) != section) {
      section = section_of(row.path);
      text.append("\n## ").append(section).append("\n");
      const section_row* about = find_section(section);
      if (about != nullptr) text.append("\n").append(about->meaning).append("\n");
    }
    text.append("\n").append(describe(row));
  }
  return text.append("\n").append(example);
}

std::string reference_manual() {
  return base::roff_title("dualbus.yaml", 5, "Configuration of dualbusd") +
         ".SH NAME\ndualbus.yaml \\- configuration of dualbusd\n.SH DESCRIPTION\n" +
         base::roff_from_markdown(reference_markdown()) +
         ".SH SEE ALSO\n.BR dualbusd (8),\n.BR systemd.service (5)\n";
}

}  // namespace dualbus::config
