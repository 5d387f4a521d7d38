#include <dualbus/client/session.hpp>
#include <dualbus/command/command_table.hpp>
#include <dualbus/operation/leftovers.hpp>
#include <dualbus/operation/transaction_stage.hpp>
#include <dualbus/resp/encoder.hpp>

#include <algorithm>
#include <limits>
#include <new>
#include <string>
#include <string_view>
#include <utility>

namespace dualbus::operation {
namespace {

constexpr std::size_t no_limit = std::numeric_limits<std::size_t>::max() / 4;

bool is_about_whole_keys(std::uint16_t command) {
  switch (command::command_table()[command].route) {
    case command::route::remove:
    case command::route::count:
    case command::route::type:
    case command::route::expire:
    case command::route::ttl:
    case command::route::object:
    case command::route::memory:
      return true;
    default:
      return false;
  }
}

}  // namespace

transaction_stage::held_requests::held_requests(environment& environment, base::chunk_pool& chunks,
                                                const backend::pipeline_settings& settings,
                                                command::bus_index index)
    : env(environment), bus(index), held(chunks, settings, environment.metrics.buses[index]) {}

void transaction_stage::held_requests::begin(int in_database) {
  chosen.clear();
  first = database = in_database;
  only_whole_keys = true;
  durable = false;
}

backend::pipeline& transaction_stage::held_requests::requests(int in_database) {
  if (in_database == database) return held;
  database = in_database;
  append_select(env, bus, database, held.begin());
  held.end(nobody(), 0, env.turn.now);
  const bool known = database == first || std::find(chosen.begin(), chosen.end(), database) != chosen.end();
  if (!known) chosen.push_back(database);
  return held;
}

// The queue was limited while it grew: everything sent here is taken.
transaction_stage::transaction_stage(environment& environment, base::chunk_pool& chunks)
    : env_(environment),
      chunks_(chunks),
      settings_{.reconnect_wait_bytes = no_limit, .congestion_bytes = no_limit},
      parser_({.max_request = no_limit}) {}

transaction_stage::~transaction_stage() = default;

backend::pipeline& transaction_stage::requests(command::bus_index bus, resp::protocol, int database) {
  return buses_[bus]->requests(database);
}

void transaction_stage::play(session& client, const transaction& queued) {
  for (std::size_t i = buses_.size(); i < env_.buses.count(); ++i) {
    const auto bus = static_cast<command::bus_index>(i);
    buses_.push_back(std::make_unique<held_requests>(env_, chunks_, settings_, bus));
  }
  added_.clear();
  for (const auto& b : buses_) b->begin(client.database());
  exec_rights rights{client.current_user(), queued.begun_under() != env_.routing.number()};
  std::string_view rest = queued.requests();
  while (!rest.empty() && !client.closed()) {
    try {
      const client::request next = parse_next(rest);
      play(client, next, rights);
      rest.remove_prefix(next.raw.size());
    } catch (const std::bad_alloc&) {
      drop_unannounced();
      client.close(metrics::close_reason::memory);
    }
  }
}

void transaction_stage::play(session& client, const client::request& request, exec_rights& rights) {
  const bool whole_keys = is_about_whole_keys(request.command);
  counts_.clear();
  for (const auto& b : buses_) counts_.push_back(b->held.waiting());
  handler_->carry_out_queued(client, request, rights, *this);
  for (std::size_t i = 0; i < buses_.size() && !whole_keys; ++i) {
    if (buses_[i]->held.waiting() != counts_[i]) buses_[i]->only_whole_keys = false;
  }
}

void transaction_stage::drop_unannounced() {
  for (const auto& b : buses_) b->held.drop_unannounced();
}

void transaction_stage::give_up() {
  postponed_.clear();
  for (const auto& b : buses_) b->held.give_up();
}

client::request transaction_stage::parse_next(std::string_view queued) {
  parser_.reset();
  parser_.parse(queued);
  client::request next{parser_.args(), queued.substr(0, parser_.consumed()), true};
  next.command = static_cast<std::uint16_t>(command::find_command(next.args[0]));
  return next;
}

void transaction_stage::postpone(session& client, const client::request& request) {
  postponed_.push_back({&client.reserve(request), std::string(request.raw)});
}

void transaction_stage::carry_out_postponed(session& client, const postponed_request& postponed) {
  client.answer_at(*postponed.place);
  try {
    handler_->carry_out_postponed(client, parse_next(postponed.bytes), *this);
  } catch (const std::bad_alloc&) {
    client.close(metrics::close_reason::memory);
  }
}

}  // namespace dualbus::operation
