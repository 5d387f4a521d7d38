#include <dualbus/command/command_table.hpp>
#include <dualbus/session/dispatcher.hpp>
#include <dualbus/session/session.hpp>
#include <dualbus/session/transaction_stage.hpp>
#include <dualbus/session/worker_context.hpp>

#include <limits>
#include <utility>

namespace dualbus::session {
namespace {

constexpr std::size_t no_limit = std::numeric_limits<std::size_t>::max() / 4;
constexpr std::size_t most_spares = 64;
constexpr std::size_t spare_bytes = std::size_t{64} << 10;

}  // namespace

// How much is queued was limited when it was: what is sent here is always taken.
transaction_stage::transaction_stage(worker_context& context)
    : context_(context),
      settings_{.reconnect_wait_bytes = no_limit, .congestion_bytes = no_limit},
      parser_({.max_request = no_limit}) {}

transaction_stage::~transaction_stage() = default;

void transaction_stage::play(session& client, const transaction& what) {
  for (std::size_t i = buses_.size(); i < context_.bus_count(); ++i) {
    buses_.push_back(
        std::make_unique<backend::pipeline>(context_.bus_chunks, settings_, context_.metrics.buses[i]));
  }
  added_.clear();
  for (std::size_t i = 0; i < buses_.size(); ++i) {
    context_.bus(static_cast<command::bus_index>(i)).divert(buses_[i].get());
  }
  playing_ = true;
  std::string_view rest = what.requests();
  while (!rest.empty() && !client.closed()) {
    parser_.reset();
    parser_.parse(rest);
    request next{parser_.args(), rest.substr(0, parser_.consumed()), true};
    next.command = static_cast<std::uint16_t>(command::find_command(next.args[0]));
    carry_out(context_, client, next);
    rest.remove_prefix(parser_.consumed());
  }
  playing_ = false;
  for (std::size_t i = 0; i < buses_.size(); ++i) {
    context_.bus(static_cast<command::bus_index>(i)).divert(nullptr);
  }
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
