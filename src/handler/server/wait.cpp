#include "server_commands.hpp"

#include <dualbus/base/deadline.hpp>
#include <dualbus/base/numbers.hpp>
#include <dualbus/command/command_table.hpp>
#include <dualbus/operation/broadcast_operation.hpp>
#include <dualbus/operation/everywhere_operation.hpp>

#include <algorithm>
#include <chrono>
#include <string_view>
#include <utility>
#include <vector>

// WAIT, WAITAOF, SCRIPT KILL and FUNCTION KILL, which go to every bus.
namespace dualbus::handler {
namespace {

bool kills(const command::command_spec& spec) {
  return spec.route == command::route::scripting;
}

// The time that WAIT or WAITAOF waits: its last argument, in milliseconds. 0 means for ever, or that Redis
// will find fault with it.
std::chrono::milliseconds wait_time(resp::arguments args) {
  const auto limit = base::parse_int64(args.back());
  return std::chrono::milliseconds(std::max<std::int64_t>(limit.value_or(0), 0));
}

class broadcast_in_transaction final : public everywhere_operation {
  using everywhere_operation::everywhere_operation;
  void on_round(const parts& all) override {
    if (answer_error(all)) return;
    answer(metrics::outcome::ok, [&all](resp::encoder& out, base::chunk_queue& raw) {
      std::vector<std::string_view> replies;
      for (const part& p : all) replies.push_back(p.reply);
      if (!write_least(replies, raw)) out.error(nonsense_text("the buses"));
    });
  }
};

}  // namespace

bool start_broadcast(operation::environment& environment, session& client, routed_request& request) {
  if (client.draining()) {
    client.refuse(request, failure_text(environment, 0, backend::failure::bus_down));
    return true;
  }
  const command::command_spec& spec = command::command_table()[request.command];
  // Earlier requests are to be waited for; or one of them is the very script, which its own client does not
  // end.
  if (client.await_replies()) return false;
  // To end a script the database does not matter, and a busy Redis refuses to choose one.
  const int database = kills(spec) ? 0 : client.database();
  const std::size_t limit = environment.configuration().backend.dedicated_connections;
  std::vector<backend::link*> links;
  for (std::size_t i = 0; i < environment.buses.count(); ++i) {
    const auto bus = static_cast<command::bus_index>(i);
    links.push_back(environment.buses.bus(bus).dedicated().borrow(
        kills(spec) ? backend::purpose::moment : backend::purpose::wait, client.protocol(), database, limit,
        environment.turn.now));
    if (links.back() != nullptr) continue;
    for (std::size_t taken = 0; taken < i; ++taken) {
      environment.buses.bus(static_cast<command::bus_index>(taken))
          .dedicated()
          .release(*links[taken], true, environment.turn.now);
    }
    client.refuse(request, no_connection_text(environment, bus));
    return true;
  }
  auto* const op = new broadcast_operation(environment, client, request, std::move(links));
  client.enqueue(*op);
  op->send(request);
  const auto answer_time = environment.configuration().backend.request_timeout;
  // Redis hears nothing while a script runs, until busy-reply-threshold; a later repetition is heard.
  const auto own_time = kills(spec) ? std::chrono::milliseconds(0) : wait_time(request.args);
  if ((kills(spec) || own_time.count() > 0) && answer_time.count() > 0)
    op->give_up_at(base::later(base::later(environment.turn.now, own_time), answer_time));
  return true;
}

void start_broadcast_in_transaction(operation::environment& environment, session& client,
                                    routed_request& request) {
  (new broadcast_in_transaction(environment, client, request))->start();
}

}  // namespace dualbus::handler
