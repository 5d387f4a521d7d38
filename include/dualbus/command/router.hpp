#pragma once

#include <dualbus/command/classifier.hpp>
#include <dualbus/command/command_table.hpp>
#include <dualbus/command/routing_table.hpp>
#include <dualbus/command/xadd_arguments.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace dualbus::command {

/// The plan for a request.
struct plan {
  enum class action : std::uint8_t {
    local,    ///< the daemon answers
    forward,  ///< the request goes to `bus` unchanged, and its reply comes back unchanged
    block,    ///< the same, but the reply may take long: needs a connection of its own
    park,     ///< a read with BLOCK of streams that `bus` has whole: the daemon waits, if it knows the syntax
    broadcast,  ///< unchanged to every bus, on connections of its own
    add,        ///< XADD of a logical stream: to `bus`, as `xadd` says
    spread,     ///< over several buses, as the command's route says; `keys` are the keys' positions
    refuse      ///< answer `error`
  };
  action what = action::refuse;
  bus_index bus = no_bus;
  command::rule rule = rule::default_bus;
  xadd_arguments xadd;
  bool confirm = false;  ///< of an XADD: its bus confirms messages of its type
  std::vector<std::uint32_t> keys;
  std::string error;  ///< code and text, without '-'
};

/// The place where XREAD and XREADGROUP with BLOCK wait for keys of one bus.
enum class waiting_reads : std::uint8_t {
  park,  ///< in the daemon
  block  ///< in Redis, on a connection of their own
};

/// Turns requests into plans, by the command table and one routing table. Counts each XADD that it plans (see
/// classifier). One per worker and routing table; a plan object is reused, so that planning allocates
/// nothing.
class router {
 public:
  router(const routing_table& table, message_counters& counters, waiting_reads waiting = waiting_reads::park);

  /// The command must take as many arguments as `args` has.
  void make_plan(const command_spec& spec, resp::arguments args, plan& out);
  /// The same for a request that is not sent yet; counts nothing.
  void foresee(const command_spec& spec, resp::arguments args, plan& out);

  /// True if the request, which goes to that one bus, is a write that is to be answered when the bus's
  /// replicas or its AOF have it. `confirm`: plan::confirm, for an XADD. Reads that write (XREADGROUP, BLPOP
  /// and their kin) and PUBLISH are none.
  bool confirms(const command_spec& spec, resp::arguments args, bus_index bus, bool confirm) const;

  const routing_table& table() const { return table_; }
  classifier& types() { return classifier_; }
  /// True if the key's entries all live on one bus and IDs are not translated: pinned, or the only bus has
  /// slot 0.
  bool is_whole(std::string_view key) const { return whole_bus(key) != no_bus; }
  /// The bus of such a key; no_bus for a logical stream.
  bus_index whole_bus(std::string_view key) const { return transparent_ ? 0 : table_.pinned_bus(key); }
  /// True if commands about one server are sent to the only bus.
  bool passing() const { return passing_; }

 private:
  void plan_keys(const command_spec& spec, resp::arguments args, plan& out);
  void plan_sort(const command_spec& spec, resp::arguments args, plan& out);
  void plan_blocking(const command_spec& spec, resp::arguments args, plan& out);
  void plan_xadd(resp::arguments args, plan& out);
  void plan_spread(const command_spec& spec, resp::arguments args, plan& out);
  void plan_stream(const command_spec& spec, resp::arguments args, plan& out);
  void plan_databases(const command_spec& spec, resp::arguments args, plan& out) const;
  void plan_keyspace(const command_spec& spec, plan& out) const;
  bool passes(const command_spec& spec, resp::arguments args) const;
  void plan_script(const command_spec& spec, resp::arguments args, plan& out);
  void forward(bus_index bus, plan& out) const;
  void refuse_draining(std::string_view key, bus_index bus, plan& out) const;

  const routing_table& table_;
  classifier classifier_;
  bool single_;       // one bus: nothing to split
  bool transparent_;  // there is one bus, and its IDs are the clients'
  waiting_reads waiting_;
  bool counting_ = true;
  bool passing_;  // commands about one server go to the only bus
};

}  // namespace dualbus::command
