#pragma once

#include <dualbus/backend/pipeline.hpp>
#include <dualbus/command/routing_table.hpp>
#include <dualbus/operation/request_operation.hpp>

#include <atomic>
#include <cstdint>
#include <string_view>
#include <unordered_set>

namespace dualbus::operation {

/// Loads the scripts that EVAL brings on every bus, since clients expect them everywhere: the clients go on
/// with EVALSHA, perhaps in the same pipeline, and perhaps for keys of another bus.
///
/// Remembers the texts that it has loaded, by hash, until a connection is lost, scripts are flushed, or a bus
/// answers NOSCRIPT. A bus that is away is left out; it answers NOSCRIPT later, and clients then send EVAL
/// again.
class script_spread final : private backend::reply_sink {
 public:
  /// `flushes`: the number of SCRIPT FLUSH carried out by all workers. Both outlive it.
  script_spread(environment& environment, const std::atomic<std::uint64_t>& flushes)
      : env_(environment), flushes_(flushes) {}

  /// The client is about to send EVAL or EVAL_RO of `text` to `bus`: loads it on the others.
  void spread(const session& client, std::string_view text, command::bus_index bus);
  /// A bus has answered NOSCRIPT: loaded scripts may be gone.
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

  environment& env_;
  const std::atomic<std::uint64_t>& flushes_;
  loaded loaded_[2];  // RESP2, RESP3
};

}  // namespace dualbus::operation
