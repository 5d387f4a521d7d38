#pragma once

#include <dualbus/backend/pipeline.hpp>
#include <dualbus/command/routing_table.hpp>

#include <cstdint>
#include <string_view>
#include <unordered_set>

namespace dualbus::session {

class session;
class worker_context;

/// Makes the scripts that EVAL brings known on every bus, since clients take them as known everywhere: they
/// go on with EVALSHA, perhaps in the same pipeline, and perhaps for keys of another bus.
///
/// Remembers which texts it has loaded, by hash, until a connection is lost, scripts are flushed, or a
/// bus answers NOSCRIPT. A bus that is away is left out; it answers NOSCRIPT, upon which clients send EVAL
/// again.
class script_spread final : private backend::reply_sink {
 public:
  explicit script_spread(worker_context& context) : context_(context) {}

  /// The client is about to send EVAL or EVAL_RO of `text` to `bus`: loads it on the others.
  void spread(const session& client, std::string_view text, command::bus_index bus);
  /// A bus has answered NOSCRIPT: what was loaded may be gone.
  void forget();

 private:
  /// The texts that one protocol's connections have loaded; `since` changes with them.
  struct loaded {
    std::uint64_t since = 0;
    std::unordered_set<std::size_t> texts;
  };

  void on_reply(std::uint32_t, const backend::reply_view&) override {}
  void on_failure(std::uint32_t, backend::failure) override {}
  bool abandoned() const override { return true; }

  worker_context& context_;
  loaded loaded_[2];  // RESP2, RESP3
};

}  // namespace dualbus::session
