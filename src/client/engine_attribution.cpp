#include <dualbus/base/c_string.hpp>
#include <dualbus/client/engine_attribution.hpp>

namespace dualbus::client {
namespace {

using base::is_word;

// The consumer of XREADGROUP; Redis takes its options in any order. Empty for XREAD.
std::string_view reading_consumer(resp::arguments args) {
  for (std::size_t i = 1; i + 2 < args.size(); ++i) {
    if (is_word(args[i], "group")) return args[i + 2];
    if (is_word(args[i], "streams")) break;
    if (is_word(args[i], "count") || is_word(args[i], "block")) ++i;
  }
  return {};
}

std::string_view consumer_of(const command::command_spec& spec, resp::arguments args) {
  if (spec.has(command::fact::reads_group)) return reading_consumer(args);
  return spec.has(command::fact::names_consumer) ? args[3] : std::string_view();
}

}  // namespace

engine_attribution::engine_attribution(metrics::engine_table& table)
    : table_(table), counters_(&table.unknown()) {
  ++counters_->connections;
}

void engine_attribution::disconnect() {
  --counters_->connections;
}

void engine_attribution::move_to(metrics::engine_counters& counters, source why) {
  --counters_->connections;
  counters_ = &counters;
  ++counters_->connections;
  source_ = why;
}

void engine_attribution::set_name(std::string_view name) {
  if (!name.empty()) return move_to(table_.of(metrics::engine_of_name(name)), source::name);
  if (source_ != source::name) return;
  move_to(table_.unknown(), source::none);
  searches_ = max_searches;
}

engine_attribution::knowledge engine_attribution::known() const {
  knowledge result{static_cast<std::uint8_t>(source_), searches_, {}};
  table_.visit([&](std::string_view name, const metrics::engine_counters& counters) {
    if (&counters == counters_ && counters_ != &table_.unknown()) result.name = name;
  });
  return result;
}

void engine_attribution::adopt(const knowledge& known) {
  searches_ = known.searches;
  if (!known.name.empty()) move_to(table_.of(known.name), static_cast<source>(known.source));
}

void engine_attribution::look(const command::command_spec& spec, resp::arguments args,
                              const command::xadd_arguments& xadd, std::string_view field) {
  if (spec.route != command::route::xadd) {
    if (source_ != source::none) return;
    const std::string_view consumer = consumer_of(spec, args);
    if (!consumer.empty()) move_to(table_.of(metrics::engine_of_consumer(consumer)), source::consumer);
    return;
  }
  if (searches_ == 0 || xadd.result != command::xadd_arguments::verdict::ok) return;
  --searches_;
  const std::string_view name = command::find_field(args, xadd, field);
  if (!name.empty()) move_to(table_.of(metrics::engine_of_name(name)), source::field);
}

}  // namespace dualbus::client
