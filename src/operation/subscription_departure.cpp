#include <dualbus/base/log.hpp>
#include <dualbus/client/session.hpp>
#include <dualbus/operation/subscription_departure.hpp>
#include <dualbus/resp/encoder.hpp>
#include <dualbus/resp/reply_reader.hpp>

#include <chrono>
#include <utility>

namespace dualbus::operation {
namespace {

// Subscribers get their messages meanwhile, but their requests wait.
constexpr std::chrono::milliseconds marker_limit{200};
// An answer to a marker has the number of the round above that of the bus.
constexpr unsigned bus_bits = 8;
static_assert(sizeof(command::bus_index) * 8 <= bus_bits);

}  // namespace

void subscription_departure::begin(std::string channel, std::uint32_t worker) {
  channel_ = std::move(channel);
  worker_ = worker;
  rounds_ = 0;
  round_ = 0;
  hub_.hold(kind::shard, channel_);
  targets_ = hub_.current_targets();
  hub_.set_tap(this);
}

std::vector<std::vector<std::string>> subscription_departure::all_names() const {
  std::vector<std::vector<std::string>> requests;
  constexpr std::string_view commands[] = {"SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE"};
  for (const std::string_view command : commands) requests.push_back({std::string(command)});
  hub_.table().for_each(
      [&](kind k, const std::string& name) { requests[static_cast<std::size_t>(k)].push_back(name); });
  std::erase_if(requests, [](const auto& words) { return words.size() < 2; });
  return requests;
}

void subscription_departure::end() {
  if (channel_.empty()) return;
  hub_.set_tap(nullptr);
  hub_.release(kind::shard, channel_);
  channel_.clear();
  gathering_.clear();
  leaving_.clear();
  cut_ = awaited_ = 0;
  refused_ = false;
}

subscription_departure::verdict subscription_departure::may_depart(const session& subscriber) {
  if (channel_.empty()) return verdict::now;
  if (!leaving_.contains(subscriber.id())) {
    gathering_.insert(subscriber.id());
    return verdict::later;
  }
  if (!is_open()) return verdict::engaged;
  if (refused_ || cut_ != awaited_) ++unmarked_;
  return verdict::now;
}

void subscription_departure::forget(std::uint64_t subscriber) {
  gathering_.erase(subscriber);
  leaving_.erase(subscriber);
}

void subscription_departure::end_of_take() {
  if (!leaving_.empty() && !is_open()) return;
  if (unmarked_ > 0)
    base::warn_limited(
        {},
        "the marker of a bus does not come: {} subscribers go without, and may miss a message of this moment "
        "or get it twice",
        std::exchange(unmarked_, 0));
  leaving_.clear();
  cut_ = awaited_ = 0;
  refused_ = false;
  if (!gathering_.empty()) begin_round();
}

void subscription_departure::begin_round() {
  std::swap(leaving_, gathering_);
  round_ = std::uint64_t{worker_} << 32 | ++rounds_;
  give_up_at_ = env_.turn.now + marker_limit;
  const std::string number = std::to_string(round_);
  const std::string_view words[] = {"SPUBLISH", channel_, number};
  for (std::size_t i = 0; i < env_.buses.count(); ++i) {
    const auto bus = static_cast<command::bus_index>(i);
    if (!env_.buses.bus(bus).up()) continue;
    backend::pipeline& requests = env_.buses.bus(bus).requests(resp::protocol::resp2, 0, env_.turn.now);
    if (!hub_.reached(bus, targets_[i]) || !requests.accepts()) {
      refused_ = true;
      continue;
    }
    resp::encoder(requests.begin()).request(words);
    requests.end(*this, rounds_ << bus_bits | bus, env_.turn.now);
    awaited_ |= stream::bus_set{1} << bus;
  }
}

void subscription_departure::on_reply(std::uint32_t part, const backend::reply_view& reply) {
  if (reply.is_error()) on_failure(part, backend::failure::bus_down);
}

void subscription_departure::on_failure(std::uint32_t part, backend::failure) {
  if ((part ^ rounds_ << bus_bits) >> bus_bits != 0) return;  // of a round that has been given up
  awaited_ &= ~(stream::bus_set{1} << (part & ((1U << bus_bits) - 1)));
  refused_ = true;
}

bool subscription_departure::on_message(command::bus_index bus, kind k, std::string_view name,
                                        std::string_view push) {
  if (k != kind::shard || name != channel_) return false;
  // The last part of a message is its payload.
  resp::reply_reader reader(push);
  std::string_view payload;
  for (std::size_t left = reader.next().elements; left > 0; --left) payload = reader.next().text;
  if (payload == std::to_string(round_)) cut_ |= awaited_ & stream::bus_set{1} << bus;
  return true;
}

bool subscription_departure::withholds(command::bus_index bus, std::uint64_t client) const {
  return (cut_ >> bus & 1) != 0 && leaving_.contains(client);
}

}  // namespace dualbus::operation
