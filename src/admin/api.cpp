#include "api.hpp"

#include "bus_query.hpp"
#include "json_writer.hpp"
#include "readiness.hpp"

#include <dualbus/base/numbers.hpp>
#include <dualbus/base/read_buffer.hpp>
#include <dualbus/base/version.hpp>
#include <dualbus/command/router.hpp>
#include <dualbus/console/explanation.hpp>
#include <dualbus/console/tables.hpp>
#include <dualbus/handler/client_lists.hpp>

#include <algorithm>
#include <charconv>
#include <exception>
#include <optional>
#include <unistd.h>
#include <utility>

namespace dualbus::admin {
namespace {

constexpr std::string_view json_type = "application/json; charset=utf-8";

http_reply json(unsigned status, std::string body) {
  return {status, std::string(json_type), std::move(body)};
}

http_reply fault(unsigned status, std::string_view text) {
  json_writer out;
  out.object().name("error").text(text).end();
  return json(status, out.take());
}

void write_cell(json_writer& out, const console::cell& value) {
  struct {
    json_writer& out;
    void operator()(std::monostate) const { out.null(); }
    void operator()(const std::string& text) const { out.text(text); }
    void operator()(std::uint64_t number) const { out.number(number); }
    void operator()(double number) const { out.number(number); }
  } const write{out};
  std::visit(write, value);
}

http_reply table_page(const console::table& what) {
  json_writer out(json_writer::layout::compact);
  out.array();
  for (const auto& row : what.rows) {
    out.object();
    for (std::size_t i = 0; i < row.size(); ++i) write_cell(out.name(what.names[i]), row[i]);
    out.end();
  }
  out.end();
  return json(200, out.take());
}

// A name that comes several times has an array of its values.
http_reply record_page(const console::record& what) {
  json_writer out;
  out.object();
  for (std::size_t i = 0; i < what.size(); ++i) {
    const std::string& name = what[i].first;
    const auto same = [&name](const auto& entry) { return entry.first == name; };
    if (std::any_of(what.begin(), what.begin() + static_cast<std::ptrdiff_t>(i), same)) continue;
    const bool several = std::count_if(what.begin(), what.end(), same) > 1;
    out.name(name);
    if (several) out.array();
    for (const auto& [other, value] : what) {
      if (other == name) out.text(value);
    }
    if (several) out.end();
  }
  out.end();
  return json(200, out.take());
}

std::vector<console::bus_facts> facts_of(const daemon_snapshot& state) {
  std::vector<console::bus_facts> result;
  for (std::size_t bus = 0; bus < state.bus_count(); ++bus) {
    const bus_status& status = state.status_of(bus);
    const bool known = bus < state.configuration->buses.size();
    result.push_back({known ? state.configuration->buses[bus].endpoint : std::string(),
                      status.info ? status.info->software() : std::string(),
                      std::string(metrics::bus_state_name(standing_of(state, bus).state))});
  }
  return result;
}

http_reply explain_page(const daemon_snapshot& state, std::string_view query) {
  std::vector<std::string> words = query_values(query, "arg");
  for (const std::string& line : query_values(query, "command")) {
    const std::vector<std::string> more = command_words(line);
    words.insert(words.end(), more.begin(), more.end());
  }
  if (words.empty()) return fault(400, "arg=WORD for each word of the command, or command=LINE, is missing");
  const int index = command::find_command(words[0]);
  if (index < 0) return fault(400, "unknown command");
  // Looking for JSON reads beyond the end of an argument.
  for (std::string& word : words) word.reserve(word.size() + base::read_buffer::padding);
  const std::vector<std::string_view> args(words.begin(), words.end());
  const command::routing_table table(state.configuration->routing);
  command::message_counters uncounted(table.bus_count(), 1);
  command::router router(table, uncounted);
  std::vector<std::string> buses;
  for (const console::bus_facts& bus : facts_of(state))
    buses.push_back("at " + bus.endpoint + (bus.server.empty() ? "" : ", " + bus.server) + ", " + bus.health);
  return record_page(console::explain({command::command_table()[static_cast<std::size_t>(index)], args,
                                       std::nullopt, router, *state.configuration, std::move(buses)}));
}

http_reply version_page(const api_sources& sources, const daemon_snapshot& state) {
  const auto age = std::chrono::system_clock::now() - sources.started;
  return record_page(
      {{"version", std::string(base::version)},
       {"run_id", sources.run_id},
       {"process_id", std::to_string(::getpid())},
       {"uptime_in_seconds", std::to_string(std::chrono::duration_cast<std::chrono::seconds>(age).count())},
       {"workers", std::to_string(state.totals.workers)}});
}

http_reply history_page(const chart_history& charts, std::string_view query) {
  double after = 0;
  const std::vector<std::string> given = query_values(query, "after");
  if (!given.empty()) {
    const std::string& text = given.back();
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), after);
    if (error != std::errc() || end != text.data() + text.size())
      return fault(400, "after must be a Unix time in seconds");
  }
  return json(200, charts.json_after(after));
}

console::table clients_of(const api_sources& sources, handler::client_list what) {
  console::table result;
  handler::list_clients(
      what,
      [&](handler::colleagues::question question, handler::colleagues::answers done) {
        done(sources.ask(std::move(question)));
      },
      [&result](console::table rows) { result = std::move(rows); });
  return result;
}

// The answer, or the reason why there is none now.
template <typename Make>
http_page page(std::string_view name, Make make) {
  return {"/api/v1/" + std::string(name), {}, [make](std::string_view query) {
            try {
              return make(query);
            } catch (const std::exception& e) {
              return fault(503, e.what());
            }
          }};
}

int hexadecimal(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = base::to_lower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

std::string decoded(std::string_view text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+') {
      result += ' ';
    } else if (text[i] == '%' && i + 2 < text.size() && hexadecimal(text[i + 1]) >= 0 &&
               hexadecimal(text[i + 2]) >= 0) {
      result += static_cast<char>(hexadecimal(text[i + 1]) * 16 + hexadecimal(text[i + 2]));
      i += 2;
    } else {
      result += text[i];
    }
  }
  return result;
}

}  // namespace

std::vector<http_page> api_pages(const api_sources& sources) {
  using handler::client_list;
  const api_sources* const from = &sources;
  return {
      page("buses",
           [from](auto) {
             const daemon_snapshot state = from->observe();
             return table_page(
                 console::buses_table(state.configuration->routing, facts_of(state), from->recent()));
           }),
      page("clients", [from](auto) { return table_page(clients_of(*from, client_list::clients)); }),
      page("config",
           [from](auto) { return table_page(console::config_table(*from->observe().configuration)); }),
      page("engines",
           [from](auto) {
             return table_page(console::engines_table(
                 from->recent(), handler::address_by_engine(clients_of(*from, client_list::addresses))));
           }),
      page("explain", [from](std::string_view query) { return explain_page(from->observe(), query); }),
      page("history", [from](std::string_view query) { return history_page(from->charts, query); }),
      page("parked", [from](auto) { return table_page(clients_of(*from, client_list::parked)); }),
      page("pools",
           [from](auto) {
             return table_page(console::pools_table(from->observe().configuration->routing, from->recent()));
           }),
      page("rules",
           [from](auto) {
             const command::routing_table rules(from->observe().configuration->routing);
             return table_page(console::rules_table(rules, from->recent()));
           }),
      page("types",
           [from](auto) {
             return table_page(console::types_table(from->observe().configuration->routing, from->recent()));
           }),
      page("version", [from](auto) { return version_page(*from, from->observe()); }),
  };
}

std::vector<std::string> query_values(std::string_view query, std::string_view name) {
  std::vector<std::string> values;
  for (std::size_t begin = 0; begin < query.size();) {
    const query_parameter found = next_parameter(query, begin);
    if (decoded(found.key) == name) values.push_back(decoded(found.value));
  }
  return values;
}

std::vector<std::string> command_words(std::string_view line) {
  std::vector<std::string> words;
  std::optional<std::string> word;
  char quote = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (quote != 0) {
      if (c == '\\' && i + 1 < line.size() && (line[i + 1] == quote || line[i + 1] == '\\')) {
        *word += line[++i];
      } else if (c == quote) {
        quote = 0;
      } else {
        *word += c;
      }
    } else if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
      if (word) words.push_back(std::move(*word));
      word.reset();
    } else {
      if (!word) word.emplace();
      if ((c == '"' || c == '\'') && word->empty()) {
        quote = c;
      } else {
        *word += c;
      }
    }
  }
  if (quote != 0) return {};
  if (word) words.push_back(std::move(*word));
  return words;
}

}  // namespace dualbus::admin
