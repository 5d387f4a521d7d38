#include "options.hpp"

#include "roster.hpp"

#include <dualbus/base/numbers.hpp>
#include <dualbus/base/version.hpp>

#include <map>

#include <CLI/CLI.hpp>

namespace dualbus::fleet {
namespace {

// The same validator without the list that CLI11 would print beside the option's name.
template <typename Validator>
Validator silently(Validator validator) {
  validator.description("");
  return validator;
}

const std::map<std::string, reader_style> reader_styles = {{"sequential", reader_style::sequential},
                                                           {"together", reader_style::together},
                                                           {"parallel", reader_style::parallel}};
const std::map<std::string, bus_class> flooded = {{"marketdata", bus_class::marketdata},
                                                  {"engine_logic", bus_class::engine_logic}};

template <typename Value>
Value among(const std::map<std::string, Value>& values, const char* option, const std::string& name) {
  const auto found = values.find(name);
  if (found != values.end()) return found->second;
  std::string names;
  for (const auto& [known, value] : values) names += (names.empty() ? "" : ", ") + known;
  throw CLI::ValidationError(option, "one of " + names + " expected, not " + name);
}

constexpr const char* description =
    "dualbus-fleet: trading engines on one thread, to load a Redis or a dualbusd and to check what they "
    "get\n\n"
    "Every engine has a connection that publishes and one that reads. A message goes to the streams of all\n"
    "engines, one XADD after the other. With its own group an engine reads the streams of some others: "
    "XREADGROUP,\n"
    "an XACK per message, the next stream, and 1 ms of pause after the last. Errors are counted and "
    "forgotten.\n"
    "In the end everything must have been delivered exactly once to every group, else the exit status is "
    "1.\n\n"
    "The legacy loop (--readers sequential) waits in one stream while messages arrive in the next, and "
    "pauses: that is\n"
    "in its latency. --readers parallel shows what the server alone takes.";

constexpr const char* more =
    "Exit status: 0 everything was delivered exactly once (or --no-check), 1 it was not, 2 it could not "
    "start.";

void check_conflicts(options& o, bool readers_given) {
  const bool for_ever = o.poll.blocks && o.poll.block.count() == 0;
  if (for_ever && !readers_given) o.readers = reader_style::parallel;
  if (for_ever && o.readers == reader_style::sequential && o.subscriptions > 1) {
    throw CLI::ValidationError("--poll block:0",
                               "would read one stream for ever: not with --readers sequential");
  }
  if (o.targets > o.streams) o.targets = o.streams;
}

}  // namespace

std::optional<address> parse_address(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0) return std::nullopt;
  const auto port = base::parse_int64(std::string_view(text).substr(colon + 1));
  if (!port || *port < 1 || *port > 65535) return std::nullopt;
  std::string host = text.substr(0, colon);
  if (host.front() == '[' && host.back() == ']')
    host = host.substr(1, host.size() - 2);
  else if (host.find(':') != std::string::npos)
    return std::nullopt;
  return address{std::move(host), static_cast<std::uint16_t>(*port)};
}

std::string to_string(const address& where) {
  const bool v6 = where.host.find(':') != std::string::npos;
  return (v6 ? "[" + where.host + "]" : where.host) + ":" + std::to_string(where.port);
}

std::optional<poll_style> parse_poll_style(const std::string& text) {
  if (text == "spin") return poll_style{false, std::chrono::milliseconds(0)};
  constexpr std::string_view prefix = "block:";
  if (!text.starts_with(prefix)) return std::nullopt;
  const auto block = base::parse_int64(std::string_view(text).substr(prefix.size()));
  if (!block || *block < 0 || *block > 3'600'000) return std::nullopt;
  return poll_style{true, std::chrono::milliseconds(*block)};
}

std::string to_string(const poll_style& style) {
  return style.blocks ? "block:" + std::to_string(style.block.count()) : "spin";
}

std::string_view name_of(reader_style style) {
  for (const auto& [name, value] : reader_styles) {
    if (value == style) return name;
  }
  return "?";
}

std::optional<options> parse_options(int argc, const char* const* argv, int& exit_status) {
  options o;
  CLI::App app(description);
  app.footer(more);
  app.get_formatter()->column_width(30);
  for (const char* type : {"UINT", "INT", "FLOAT"}) app.get_formatter()->label(type, "N");
  app.get_formatter()->label("TEXT", "WHAT");
  app.set_version_flag("-v,--version", std::string("dualbus-fleet ") + base::version);

  std::string marketdata = to_string(o.marketdata), poll = to_string(o.poll), readers, flood;
  bool legacy = false, no_check = false;
  double pause_ms = 1;
  const auto count_of = [&app](const char* name, std::size_t& value, std::size_t most, const char* text) {
    app.add_option(name, value, text)
        ->check(silently(CLI::Range(std::size_t{1}, most)))
        ->capture_default_str();
  };

  app.add_option("--host", o.server.host, "where the engines connect")->capture_default_str()->group("Where");
  app.add_option("-p,--port", o.server.port, "where the engines connect")
      ->capture_default_str()
      ->group("Where");
  auto* legacy_flag =
      app.add_flag("--legacy", legacy, "everything goes to one address (default)")->group("Where");
  app.add_flag(
         "--migrated", o.migrated,
         "engines that know both buses: market data goes to --marketdata, the rest to --host and --port")
      ->excludes(legacy_flag)
      ->group("Where");
  app.add_option("--marketdata", marketdata, "HOST:PORT for market data of a migrated fleet")
      ->capture_default_str()
      ->group("Where");

  count_of("--engines", o.engines, 10'000,
           "processes that are simulated; seven names, and with them groups, in turn");
  count_of("--streams", o.streams, roster::max_streams, "streams nautilus-<engine>-streams");
  app.add_option("--subscriptions", o.subscriptions, "streams that each engine reads")
      ->check(silently(CLI::Range(0, 17)))
      ->capture_default_str();
  count_of("--targets", o.targets, roster::max_streams,
           "streams that a message goes to: all, or so many, chosen at random");
  app.add_option("--rate", o.rate,
                 "messages per second that each engine publishes, each to --targets streams")
      ->check(silently(CLI::Range(0.0, 1e6)))
      ->capture_default_str();
  app.add_option("--payload", o.payload_bytes, "bytes of the JSON payload")
      ->check(silently(CLI::Range(message_builder::min_payload_bytes, std::size_t{16} << 20)))
      ->capture_default_str();
  app.add_option("--marketdata-share", o.marketdata_share, "how many of the messages are market data, 0 to 1")
      ->check(silently(CLI::Range(0.0, 1.0)))
      ->capture_default_str();
  app.add_option("--maxlen", o.maxlen, "MAXLEN ~ of XADD")->capture_default_str();
  app.add_flag("--pipeline", o.pipelined,
               "publish to all targets in one write, not one after the other's answer");
  app.add_option("--seed", o.seed, "of the random choices")->capture_default_str();

  app.add_option("--poll", poll, "XREADGROUP with block:MILLISECONDS (0: for ever), or without: spin")
      ->capture_default_str();
  const CLI::Option* readers_option = app.add_option(
      "--readers", readers,
      "sequential: one stream after the other, as the legacy engines do (default; parallel with "
      "block:0); together: one XREADGROUP with all streams; parallel: a connection per stream");
  count_of("--count", o.count, 100'000, "COUNT of XREADGROUP");
  app.add_option(
         "--pause", pause_ms,
         "milliseconds between two passes over the streams; together and parallel pause only after a pass "
         "without a message")
      ->check(silently(CLI::Range(0.0, 60'000.0)))
      ->capture_default_str();
  app.add_flag("--batch-acks", o.batch_acks, "one XACK for all messages of an answer, not one for each");
  app.add_flag(
      "--missing-groups", o.missing_groups,
      "create only each engine's group on its own stream, as the legacy fleet does, not those that it reads "
      "with");
  app.add_flag("--names", o.names, "say the engine's name with CLIENT SETNAME");
  app.add_flag("--recover", o.recover,
               "after a lost connection read what is pending first; the legacy engines do not");

  app.add_option("--flood", flood, "also saturate one bus: marketdata or engine_logic")->group("Flood");
  app.add_option("--flood-connections", o.flood_connections, "connections that flood")
      ->check(silently(CLI::Range(1, 1000)))
      ->capture_default_str()
      ->group("Flood");
  app.add_option("--flood-pipeline", o.flood_pipeline, "XADDs in flight on each of them")
      ->check(silently(CLI::Range(1, 10'000)))
      ->capture_default_str()
      ->group("Flood");

  app.add_option("--seconds", o.seconds, "length of the measurement; 0: until SIGINT or SIGTERM")
      ->check(silently(CLI::Range(0.0, 1e7)))
      ->capture_default_str()
      ->group("Run");
  app.add_option("--warmup", o.warmup_seconds, "seconds of the same before it, whose latency does not count")
      ->check(silently(CLI::Range(0.0, 3600.0)))
      ->capture_default_str()
      ->group("Run");
  app.add_option("--drain", o.drain_seconds, "seconds in which the rest must be delivered in the end")
      ->check(silently(CLI::Range(0.0, 3600.0)))
      ->capture_default_str()
      ->group("Run");
  app.add_flag("--no-check", no_check, "do not wait in the end, and do not mind what is missing")
      ->group("Run");
  app.add_option("--json", o.json_file, "write the report to this file, too")->group("Run");

  try {
    app.parse(argc, argv);
    const auto where = parse_address(marketdata);
    if (!where) throw CLI::ValidationError("--marketdata", "HOST:PORT expected, not " + marketdata);
    const auto style = parse_poll_style(poll);
    if (!style) throw CLI::ValidationError("--poll", "block:MILLISECONDS or spin expected, not " + poll);
    if (!readers.empty()) o.readers = among(reader_styles, "--readers", readers);
    if (!flood.empty()) o.flood = among(flooded, "--flood", flood);
    o.marketdata = *where;
    o.poll = *style;
    o.check = !no_check;
    o.pause = std::chrono::microseconds(static_cast<std::int64_t>(pause_ms * 1000));
    check_conflicts(o, readers_option->count() > 0);
  } catch (const CLI::ParseError& error) {
    exit_status = app.exit(error) == 0 ? 0 : 2;
    return std::nullopt;
  }
  return o;
}

}  // namespace dualbus::fleet
