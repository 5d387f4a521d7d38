#include "roster.hpp"

#include <algorithm>
#include <array>
#include <string_view>

namespace dualbus::fleet {
namespace {

// The owners of streams. The first seven publish and read; the streams of the others are only filled.
constexpr std::array<std::string_view, roster::max_streams> owners = {
    "portfolio", "collateral", "ml",       "factor",     "strategy", "websocket",  "features",
    "risk",      "analytics",  "vpin",     "marketdata", "quantum",  "neural_sde", "molecular_dynamics",
    "magnn",     "thgnn_hft",  "toraniko", "backtesting"};
constexpr std::size_t names = 7;

std::string text(std::string_view name, std::string_view end) {
  return std::string(name) + std::string(end);
}

}  // namespace

roster::roster(std::size_t engines, std::size_t streams, std::size_t subscriptions)
    : readers_(std::min(streams, max_streams)) {
  for (std::size_t i = 0; i < readers_.size(); ++i) {
    streams_.push_back("nautilus-" + text(owners[i], "-streams"));
  }
  for (std::size_t number = 0; number < engines; ++number) {
    const std::size_t name = number % names;
    if (number < names) groups_.push_back(text(owners[name], "-group"));
    engine e{std::string(owners[name]), text(owners[name], "-") + std::to_string(number), {}, name, {}};
    e.consumer = e.name + "-engine-" + e.instance;
    // The streams of the other engines that run come first, beginning behind its own, then the rest.
    for (std::size_t step = 1; step < max_streams && e.reads.size() < subscriptions; ++step) {
      const std::size_t owner = step < names ? (name + step) % names : step;
      if (owner < streams_.size()) e.reads.push_back(owner);
    }
    for (const std::size_t stream : e.reads) readers_[stream] |= std::uint32_t{1} << name;
    engines_.push_back(std::move(e));
  }
}

std::string roster::own_group(std::size_t stream) const {
  return text(owners[stream], "-group");
}

}  // namespace dualbus::fleet
