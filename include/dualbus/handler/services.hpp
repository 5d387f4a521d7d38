#pragma once

#include <dualbus/backend/server_identity.hpp>
#include <dualbus/client/client_directory.hpp>
#include <dualbus/console/recent.hpp>
#include <dualbus/handler/authorization.hpp>
#include <dualbus/handler/colleagues.hpp>
#include <dualbus/handler/daemon_counts.hpp>
#include <dualbus/operation/everywhere_operation.hpp>
#include <dualbus/operation/exec_operation.hpp>
#include <dualbus/operation/forwarding.hpp>
#include <dualbus/operation/gather_operation.hpp>
#include <dualbus/operation/group_operation.hpp>
#include <dualbus/operation/stream_environment.hpp>
#include <dualbus/operation/subscription_hub.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

// The parts of a worker that each family of commands uses beyond those of every operation.
namespace dualbus::handler {

struct stream_services : operation::stream_environment {
  operation::forwarder& forwarder;
  authorization& rights;
};

struct key_services : operation::environment {
  operation::forwarder& forwarder;
  stream_services& streams;  ///< for reads that wait in the daemon
};

struct pubsub_services : operation::environment {
  operation::forwarder& forwarder;
  operation::subscription_hub& hub;
  operation::subscription_registry& registry;
};

struct script_services : operation::environment {
  operation::forwarder& forwarder;
  std::atomic<std::uint64_t>& flushes;  ///< SCRIPT FLUSH so far, of all workers
};

struct transaction_services : operation::exec_environment {
  operation::transaction_pool& transactions;
  operation::script_spread& scripts;
};

/// The effect that a reload of the configuration's file would have, as lines for people.
struct file_trial {
  std::size_t mistakes = 0;  ///< with any, the reload would be refused; they come first
  std::vector<std::string> lines;
};

/// The daemon as a server, as INFO and other commands describe it.
struct daemon_facts {
  std::chrono::system_clock::time_point started = std::chrono::system_clock::now();
  std::string run_id;           ///< 40 hexadecimal digits, as Redis's INFO has
  counting_start counted_from;  ///< of the counters in INFO
  /// Loads the configuration's file and compares it with the running one, on another thread, where it calls
  /// `done`.
  std::function<void(std::function<void(const file_trial&)> done)> try_file =
      [](const std::function<void(const file_trial&)>& done) { done({}); };
  std::function<void()> reload = [] {};  ///< begins to reload the file. From any thread
  std::function<void()> drain = [] {};   ///< begins to drain. From any thread
  /// The rates of the last minute, for the console.
  std::shared_ptr<console::history> recent = std::make_shared<console::history>();
};

/// The parts of a worker that commands about the server and the connection use besides.
struct server_services : operation::environment {
  operation::forwarder& forwarder;
  authorization& rights;
  colleague& self;
  daemon_facts& daemon;
  const operation::subscription_registry& registry;

  const client::access_control& access() const { return rights.access(); }
  client::client_directory& clients() const { return self.clients; }
  colleagues& workers() const { return self.all; }
  /// The kind of server that clients are told of: that of the default bus, or the oldest supported one while
  /// the bus's is not known.
  backend::server_identity identity() const;
};

/// The families of commands.
struct families {
  stream_services& streams;
  key_services& keys;
  server_services& server;
  pubsub_services& pubsub;
  script_services& scripts;
  transaction_services& transactions;
};

}  // namespace dualbus::handler
