#pragma once

#include <dualbus/config/configuration.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace dualbus::admin {

class stop_signal;

/// Makes another bus fit to be the anchor, before a reload that says so: every group of a logical stream that
/// exists on the anchor is made on the other bus, if it is missing there, at the beginning of the stream, as
/// a group that is healed. A group that only the other bus has would come into being by the change, although
/// clients believe that it does not exist: that is a mistake, unless that bus has been draining, whose groups
/// exist.
class anchor_move {
 public:
  struct findings {
    std::vector<std::string> mistakes;  ///< the anchor must not move; of many groups only the first are named
    std::uint64_t made = 0;             ///< groups
  };

  /// Throws std::system_error if there is no descriptor left.
  anchor_move();
  ~anchor_move();

  /// Does nothing if the anchor stays. Takes the time of a SCAN of two buses. Groups that are made or removed
  /// meanwhile are made or removed on both, as always.
  findings run(const config::configuration& running, const config::configuration& loaded) const;
  /// Ends run(), whose findings are incomplete then. From any thread.
  void stop();

 private:
  std::unique_ptr<stop_signal> stop_;
};

}  // namespace dualbus::admin
