#include <dualbus/base/c_string.hpp>
#include <dualbus/session/engine_attribution.hpp>

namespace dualbus::session {
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
  if (spec.name == "xreadgroup") return reading_consumer(args);
  if (spec.name == "xclaim" || spec.name == "xautoclaim") return args[3];
  return {};
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

}  // namespace dualbus::session
