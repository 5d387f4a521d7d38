#include <dualbus/command/command_table.hpp>
#include <dualbus/resp/encoder.hpp>
#include <dualbus/session/authorization.hpp>
#include <dualbus/session/dispatcher.hpp>
#include <dualbus/session/local_commands.hpp>
#include <dualbus/session/session.hpp>
#include <dualbus/session/transaction_stage.hpp>
#include <dualbus/session/worker_context.hpp>

#include <algorithm>
#include <limits>
#include <new>
#include <string>
#include <string_view>
#include <utility>

namespace dualbus::session {
namespace {

constexpr std::size_t no_limit = std::numeric_limits<std::size_t>::max() / 4;
constexpr std::size_t most_spares = 64;
constexpr std::size_t spare_bytes = std::size_t{64} << 10;

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

class nobody_sink final : public backend::reply_sink {
  void on_reply(std::uint32_t, const backend::reply_view&) override {}
  void on_failure(std::uint32_t, backend::failure) override {}
  bool abandoned() const override { return true; }
};

}  // namespace

backend::reply_sink& nobody() {
  static nobody_sink ignored;
  return ignored;
}

void append_select(worker_context& context, command::bus_index bus, int database, base::chunk_queue& out) {
  const std::string number = std::to_string(context.configuration().buses[bus].database + database);
  const std::string_view select[] = {"SELECT", number};
  resp::encoder(out).request(select);
}

transaction_stage::held_requests::held_requests(worker_context& of,
                                                const backend::pipeline_settings& settings,
                                                command::bus_index index)
    : context(of), bus(index), held(of.bus_chunks, settings, of.metrics.buses[index]) {}

void transaction_stage::held_requests::begin(int in_database) {
  chosen.clear();
  first = database = in_database;
  only_whole_keys = true;
}

backend::pipeline& transaction_stage::held_requests::requests(int in_database) {
  if (in_database == database) return held;
  database = in_database;
  append_select(context, bus, database, held.begin());
  held.end(nobody(), 0, context.now);
  const bool known = database == first || std::find(chosen.begin(), chosen.end(), database) != chosen.end();
  if (!known) chosen.push_back(database);
  return held;
}

// How much is queued was limited when it was: what is sent here is always taken.
transaction_stage::transaction_stage(worker_context& context)
    : context_(context),
      settings_{.reconnect_wait_bytes = no_limit, .congestion_bytes = no_limit},
      parser_({.max_request = no_limit}) {}

transaction_stage::~transaction_stage() = default;

void transaction_stage::play(session& client, const transaction& what) {
  for (std::size_t i = buses_.size(); i < context_.bus_count(); ++i) {
    const auto bus = static_cast<command::bus_index>(i);
    buses_.push_back(std::make_unique<held_requests>(context_, settings_, bus));
  }
  added_.clear();
  for (std::size_t i = 0; i < buses_.size(); ++i) {
    buses_[i]->begin(client.database());
    context_.bus(buses_[i]->bus).divert(buses_[i].get());
  }
  playing_ = true;
  exec_permissions permissions(context_, client, what.begun_under() != context_.routing_number());
  std::string_view rest = what.requests();
  while (!rest.empty() && !client.closed()) {
    const request next = parse_next(rest);
    try {
      if (permissions.admit(next)) play(client, next);
    } catch (const std::bad_alloc&) {
      context_.drop_unannounced();
      client.close(metrics::close_reason::memory);
    }
    rest.remove_prefix(next.raw.size());
  }
  playing_ = false;
  for (std::size_t i = 0; i < buses_.size(); ++i) {
    context_.bus(static_cast<command::bus_index>(i)).divert(nullptr);
  }
}

void transaction_stage::play(session& client, const request& what) {
  if (is_about_whole_keys(what.command)) {
    carry_out(context_, client, what);
    return;
  }
  counts_.clear();
  for (const auto& b : buses_) counts_.push_back(b->held.waiting());
  carry_out(context_, client, what);
  for (std::size_t i = 0; i < buses_.size(); ++i) {
    if (buses_[i]->held.waiting() != counts_[i]) buses_[i]->only_whole_keys = false;
  }
}

void transaction_stage::drop_unannounced() {
  for (const auto& b : buses_) b->held.drop_unannounced();
}

void transaction_stage::settle() {
  while (!waiting_.empty() && waiting_.front()->retry()) waiting_.erase(waiting_.begin());
}

void transaction_stage::stop() {
  while (!waiting_.empty()) waiting_.front()->give_up_waiting();
}

request transaction_stage::parse_next(std::string_view queued) {
  parser_.reset();
  parser_.parse(queued);
  request next{parser_.args(), queued.substr(0, parser_.consumed()), true};
  next.command = static_cast<std::uint16_t>(command::find_command(next.args[0]));
  return next;
}

void transaction_stage::postpone(session& client, const command::command_spec& spec, const request& what) {
  if (spec.name == "monitor")
    return client.refuse(what.command, "ERR MONITOR isn't allowed for DENY BLOCKING client");
  postponed_.push_back({&client.reserve(what.command), std::string(what.raw)});
}

void transaction_stage::carry_out_postponed(session& client, const postponed_request& what) {
  const request next = parse_next(what.bytes);
  client.answer_at(*what.place);
  playing_ = true;
  try {
    run_local_command(context_, client, command::command_table()[next.command], next);
  } catch (const std::bad_alloc&) {
    client.close(metrics::close_reason::memory);
  }
  playing_ = false;
}

std::unique_ptr<transaction> transaction_stage::take_transaction() {
  if (spares_.empty()) return std::make_unique<transaction>(context_);
  std::unique_ptr<transaction> spare = std::move(spares_.back());
  spares_.pop_back();
  return spare;
}

void transaction_stage::give_transaction(std::unique_ptr<transaction> spare) {
  spare->clear(spare_bytes);
  if (spares_.size() < most_spares) spares_.push_back(std::move(spare));
}

}  // namespace dualbus::session
