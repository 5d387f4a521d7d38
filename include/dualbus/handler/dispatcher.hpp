#pragma once

#include <dualbus/client/memory_guard.hpp>
#include <dualbus/client/request.hpp>
#include <dualbus/command/router.hpp>
#include <dualbus/handler/authorization.hpp>
#include <dualbus/handler/services.hpp>
#include <dualbus/handler/traffic_gate.hpp>
#include <dualbus/operation/transaction_stage.hpp>
#include <dualbus/stream/key_changes.hpp>

#include <string>
#include <vector>

namespace dualbus::handler {

/// Decides for one worker how each request is treated, and hands it to the command that carries it out.
///
///   request ──> known? allowed now? ──MULTI──> queue
///                     └──> plan (command::router) ──> forward │ add │ spread │ local │ block │ broadcast
class dispatcher final : public client::request_handler, public operation::queued_request_handler {
 public:
  /// The arguments outlive it.
  dispatcher(operation::environment& environment, const handler::families& families, authorization& rights,
             traffic_gate& gate, client::memory_guard& memory, stream::key_changes& changes)
      : env_(environment),
        families_(families),
        rights_(rights),
        gate_(gate),
        memory_(memory),
        changes_(changes) {}

  bool handle(session& client, client::request& taken) override;
  void drop_unfinished() override;
  void end_subscriptions(session& client) override;
  std::vector<std::vector<std::string>> requests_to_hear(const session& client) const override;
  std::string denial_of(const session& client, const std::vector<std::string>& words) override;
  void restore_subscriptions(session& client, const client::session_state& state) override;
  void restore_lost_watch(session& client) override;

  void carry_out_queued(session& client, const client::request& queued, operation::exec_rights& rights,
                        operation::outlet& stage) override;
  void carry_out_postponed(session& client, const client::request& postponed,
                           operation::outlet& stage) override;

 private:
  /// Carries out a request that has at least the arguments that the command needs. False as in handle(), but
  /// never within a transaction.
  bool carry_out(session& client, const command::command_spec& spec, operation::routed_request& request);
  /// Forwards to one bus where something else must be done besides.
  bool forward_specially(session& client, const command::command_spec& spec,
                         operation::routed_request& request);
  void run_spread(session& client, const command::command_spec& spec, operation::routed_request& request);
  void run_local(session& client, const command::command_spec& spec, operation::routed_request& request);
  bool await_room(session& client, const command::command_spec& spec, operation::routed_request& request);
  void note_change(const command::command_spec& spec, operation::routed_request& request,
                   command::bus_index bus);
  void note_changes(const command::command_spec& spec, operation::routed_request& request,
                    command::bus_index bus);

  operation::environment& env_;
  const handler::families families_;
  authorization& rights_;
  traffic_gate& gate_;
  client::memory_guard& memory_;
  stream::key_changes& changes_;
  command::plan plan_room_;  // memory that plans use, one after the other
};

}  // namespace dualbus::handler
