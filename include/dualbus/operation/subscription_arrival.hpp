#pragma once

#include <dualbus/operation/subscription_hub.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace dualbus::operation {

/// The other end of subscription_departure: is subscribed to everything before the subscribers come, keeps
/// the messages behind each marker, and gives them to the subscribers of that round when they arrive.
class subscription_arrival final : private subscription_hub::tap, private subscription_hub::waiter {
 public:
  /// Messages that come during a hand-over take no more memory; the oldest go.
  static constexpr std::size_t most_bytes = std::size_t{32} << 20;

  /// All outlive it.
  subscription_arrival(environment& environment, subscription_hub& hub) : env_(environment), hub_(hub) {}

  /// Hears what these requests name, and the markers; `ready` is called, in a turn, when all buses that are
  /// there have confirmed it. May be called once for each worker of the other process.
  void hear(const std::string& channel, const std::vector<std::vector<std::string>>& requests,
            std::function<void()> ready);
  /// All have arrived.
  void end();

 private:
  using kind = backend::subscription;
  struct message {
    command::bus_index bus;
    kind k;
    std::string name, push;
  };

  bool on_message(command::bus_index bus, kind k, std::string_view name, std::string_view push) override;
  bool withholds(command::bus_index, std::uint64_t) const override { return false; }
  void on_arrival(session& client, std::uint64_t round) override;
  void on_progress() override;
  void hold(kind k, const std::string& name);

  environment& env_;
  subscription_hub& hub_;
  std::string channel_;
  std::vector<std::pair<kind, std::string>> held_;
  std::vector<message> kept_;
  std::size_t kept_bytes_ = 0, dropped_ = 0;
  /// By round and bus: the number of messages before the marker, those dropped included.
  std::map<std::pair<std::uint64_t, command::bus_index>, std::size_t> markers_;
  subscription_hub::targets targets_;
  std::vector<std::function<void()>> ready_;
};

}  // namespace dualbus::operation
