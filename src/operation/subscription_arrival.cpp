#include <dualbus/base/numbers.hpp>
#include <dualbus/client/session.hpp>
#include <dualbus/operation/subscription_arrival.hpp>
#include <dualbus/resp/reply_reader.hpp>

#include <algorithm>
#include <charconv>

namespace dualbus::operation {

void subscription_arrival::hold(kind k, const std::string& name) {
  hub_.hold(k, name);
  held_.emplace_back(k, name);
}

void subscription_arrival::hear(const std::string& channel,
                                const std::vector<std::vector<std::string>>& requests,
                                std::function<void()> ready) {
  if (channel_.empty()) {
    channel_ = channel;
    hold(kind::shard, channel_);
    hub_.set_tap(this);
  }
  for (const std::vector<std::string>& words : requests) {
    const kind k = words[0] == "PSUBSCRIBE"   ? kind::pattern
                   : words[0] == "SSUBSCRIBE" ? kind::shard
                                              : kind::channel;
    for (std::size_t i = 1; i < words.size(); ++i) hold(k, words[i]);
  }
  targets_ = hub_.current_targets();
  if (ready_.empty()) hub_.await(*this);
  ready_.push_back(std::move(ready));
  on_progress();
}

void subscription_arrival::on_progress() {
  for (std::size_t i = 0; i < targets_.size(); ++i) {
    const auto bus = static_cast<command::bus_index>(i);
    if (env_.buses.bus(bus).up() && !hub_.reached(bus, targets_[i])) return;
  }
  hub_.forget(*this);
  for (const auto& ready : std::exchange(ready_, {})) ready();
}

bool subscription_arrival::on_message(command::bus_index bus, kind k, std::string_view name,
                                      std::string_view push) {
  if (k == kind::shard && name == channel_) {
    resp::reply_reader reader(push);
    std::string_view payload;
    for (std::size_t left = reader.next().elements; left > 0; --left) payload = reader.next().text;
    std::uint64_t round = 0;
    std::from_chars(payload.data(), payload.data() + payload.size(), round);
    if (round != 0) markers_.emplace(std::pair(round, bus), dropped_ + kept_.size());
    return true;
  }
  if (markers_.empty()) return false;
  kept_.push_back({bus, k, std::string(name), std::string(push)});
  kept_bytes_ += name.size() + push.size();
  if (kept_bytes_ <= most_bytes) return false;
  const std::size_t half = kept_.size() / 2 + 1;
  for (std::size_t i = 0; i < half; ++i) kept_bytes_ -= kept_[i].name.size() + kept_[i].push.size();
  kept_.erase(kept_.begin(), kept_.begin() + static_cast<std::ptrdiff_t>(half));
  dropped_ += half;
  return false;
}

void subscription_arrival::on_arrival(session& client, std::uint64_t round) {
  std::vector<std::size_t> from(env_.buses.count(), ~std::size_t{0});
  for (std::size_t i = 0; i < from.size(); ++i) {
    const auto found = markers_.find({round, static_cast<command::bus_index>(i)});
    if (found != markers_.end()) from[i] = found->second;
  }
  for (std::size_t i = 0; i < kept_.size(); ++i) {
    const message& m = kept_[i];
    if (dropped_ + i < from[m.bus]) continue;
    const subscription_table::client_set* const receivers = hub_.table().receivers(m.k, m.name);
    if (receivers == nullptr || !receivers->contains(client.id())) continue;
    client.push(m.push);
    ++env_.metrics.pubsub_deliveries;
  }
}

void subscription_arrival::end() {
  if (channel_.empty()) return;
  hub_.set_tap(nullptr);
  if (!ready_.empty()) hub_.forget(*this);
  ready_.clear();
  for (const auto& [k, name] : std::exchange(held_, {})) hub_.release(k, name);
  channel_.clear();
  kept_.clear();
  markers_.clear();
  kept_bytes_ = dropped_ = 0;
}

}  // namespace dualbus::operation
