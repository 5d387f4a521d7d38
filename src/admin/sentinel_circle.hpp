#pragma once

#include "sentinel_link.hpp"

#include <dualbus/config/configuration.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace dualbus::admin {

/// The Sentinels of one bus: those of the configuration, and others that these have named, as long as the
/// process lives. One of them, which answered last, keeps its connection and announces failovers. Used by one
/// thread.
class sentinel_circle {
 public:
  /// A Sentinel and its answer; the link stays where it is.
  struct said {
    sentinel_link* by = nullptr;
    sentinel_link::answer answer;
  };

  /// `stop` outlives the circle.
  sentinel_circle(const config::sentinel_settings& settings, const stop_signal& stop,
                  std::chrono::milliseconds patience);

  /// The one with the connection; null if it has been lost, or there was none yet.
  sentinel_link* first() { return first_; }
  /// Asks the first one, which is the first no longer if it names no master.
  said ask_first();
  /// Asks all of them at once and waits for the slowest, which is no longer than twice the patience. If none
  /// is the first, one that names a master becomes it.
  std::vector<said> ask_all();
  /// Makes one whose knowledge is better the first.
  void prefer(sentinel_link& better);

  std::size_t size() const { return links_.size(); }
  void close();

 private:
  void learn(const std::vector<config::server_address>& others);

  const config::sentinel_settings settings_;
  const stop_signal& stop_;
  const std::chrono::milliseconds patience_;
  std::vector<std::unique_ptr<sentinel_link>> links_;
  sentinel_link* first_ = nullptr;
};

}  // namespace dualbus::admin
