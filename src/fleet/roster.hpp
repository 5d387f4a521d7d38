#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace dualbus::fleet {

/// One engine process: its name, and the streams that it reads, as indexes of roster::streams().
struct engine {
  std::string name;      ///< several instances may share it, and with it the group
  std::string instance;  ///< unique
  std::string consumer;  ///< `<name>-engine-<instance>`
  std::size_t group;     ///< index of roster::groups()
  std::vector<std::size_t> reads;
};

/// The members of the fleet: engines, streams, groups, and who reads what.
class roster {
 public:
  /// All the streams there can be.
  static constexpr std::size_t max_streams = 18;

  /// The engines take seven names in turn. Each reads `subscriptions` streams of the engines named after its
  /// own, never its own; fewer if there are not as many.
  roster(std::size_t engines, std::size_t streams, std::size_t subscriptions);

  const std::vector<engine>& engines() const { return engines_; }
  /// The streams' keys, `nautilus-<owner>-streams`.
  const std::vector<std::string>& streams() const { return streams_; }
  /// The groups that read, `<name>-group`.
  const std::vector<std::string>& groups() const { return groups_; }
  /// The group of the stream's owner, which nobody reads with.
  std::string own_group(std::size_t stream) const;
  /// The groups that read the stream, a bit for each.
  std::uint32_t readers(std::size_t stream) const { return readers_[stream]; }

 private:
  std::vector<engine> engines_;
  std::vector<std::string> streams_, groups_;
  std::vector<std::uint32_t> readers_;
};

}  // namespace dualbus::fleet
