#include "handler/refusals.hpp"
#include "pubsub_commands.hpp"

#include <dualbus/base/numbers.hpp>
#include <dualbus/client/session.hpp>
#include <dualbus/operation/forwarding.hpp>
#include <dualbus/operation/gather_operation.hpp>
#include <dualbus/resp/reply_reader.hpp>

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace dualbus::handler {
namespace {

using command::bus_index;
using kind = backend::subscription;

/// SUBSCRIBE and UNSUBSCRIBE and their kin. The operation is alone in its client's queue, so that no message
/// comes before the confirmation of its subscription. As in Redis, its replies are sent even if replies are
/// off (CLIENT REPLY).
class subscription_operation final : public request_operation, private subscription_hub::waiter {
 public:
  subscription_operation(pubsub_services& services, session& owner, routed_request& request, kind k,
                         bool subscribing, resp::arguments names)
      : request_operation(services, owner, request),
        kind_(k),
        subscribing_(subscribing),
        names_(names.begin(), names.end()),
        hub_(services.hub) {}

  void start() {
    owner_->enqueue(*this);
    if (subscribing_) {
      for (; held_ < names_.size(); ++held_) hub_.hold(kind_, names_[held_]);
    } else {
      unsubscribe();
    }
    targets_ = hub_.current_targets();
    if (ready()) return conclude();
    owner_->hold();
    waiting_ = true;
    hub_.await(*this);
    const config::backend_settings& backend = env_.configuration().backend;
    const bool limited = backend.request_timeout.count() > 0;
    const auto wait =
        limited ? std::min(backend.reconnect_wait, backend.request_timeout) : backend.reconnect_wait;
    timer_ = env_.turn.timers.add(env_.turn.now + wait, [this] {
      timer_.reset();
      conclude();
    });
  }

  void on_reply(std::uint32_t, const backend::reply_view&) override {}
  void on_failure(std::uint32_t, backend::failure) override {}
  void destroy() override { delete this; }
  bool detach() override {
    stop_waiting();
    if (subscribing_) release_names();
    return true;
  }
  std::vector<std::string> lasting_request() const override {
    if (!subscribing_) return {};
    std::vector<std::string> words = {std::string(subscribing_command(kind_))};
    words.insert(words.end(), names_.begin(), names_.end());
    return words;
  }
  bool refuse_wait(std::string_view error) override {
    stop_waiting();
    release_names();
    resp::encoder(reply()).error(error);
    finish(metrics::outcome::refused);
    return true;
  }

 private:
  bool reached(std::size_t bus) const { return hub_.reached(static_cast<bus_index>(bus), targets_[bus]); }

  // A bus that is known to be down is not waited for, unless there is no other.
  bool ready() const {
    bool any = !subscribing_;
    for (std::size_t i = 0; i < targets_.size(); ++i) {
      const auto bus = static_cast<bus_index>(i);
      if (reached(i)) {
        any = true;
      } else if (hub_.up(bus) || (subscribing_ && env_.buses.bus(bus).up())) {
        return false;
      }
    }
    return any;
  }

  void on_progress() override {
    if (ready()) conclude();
  }

  void stop_waiting() {
    if (!std::exchange(waiting_, false)) return;
    hub_.forget(*this);
    if (timer_) env_.turn.timers.cancel(*std::exchange(timer_, std::nullopt));
    if (owner_ != nullptr) owner_->release();
  }

  void release_names() {
    for (; held_ > 0; --held_) hub_.release(kind_, names_[held_ - 1]);
  }

  void conclude() {
    stop_waiting();
    if (!subscribing_) {
      confirm_all(owner_->push_target());
      return finish(metrics::outcome::ok);
    }
    std::size_t having = 0;
    for (std::size_t i = 0; i < targets_.size(); ++i) {
      having += reached(i) ? 1 : 0;
      if (!reached(i)) ++env_.metrics.buses[i].pubsub_unconfirmed;
    }
    if (having == 0) {
      release_names();
      resp::encoder(reply()).error("BUSDOWN no bus is reachable: not subscribed");
      return finish(metrics::outcome::bus_down);
    }
    confirm_all(owner_->push_target());
    release_names();
    finish(metrics::outcome::ok);
  }

  // UNSUBSCRIBE without names means all of the client's; if it has none, the only answer names none.
  void unsubscribe() {
    if (names_.empty()) names_ = hub_.table().names_of(owner_->id(), kind_);
    for (const std::string& name : names_) {
      hub_.unsubscribe(*owner_, kind_, name);
      counts_.push_back(count());
    }
    if (names_.empty()) counts_.push_back(count());
  }

  // As in Redis, channels and patterns are counted together, shard channels on their own.
  std::int64_t count() const {
    const subscription_table& table = hub_.table();
    const std::uint64_t id = owner_->id();
    if (kind_ == kind::shard) return static_cast<std::int64_t>(table.count_of(id, kind_));
    return static_cast<std::int64_t>(table.count_of(id, kind::channel) + table.count_of(id, kind::pattern));
  }

  void confirm_all(base::chunk_queue* out) {
    constexpr std::string_view words[2][3] = {{"unsubscribe", "punsubscribe", "sunsubscribe"},
                                              {"subscribe", "psubscribe", "ssubscribe"}};
    const std::string_view word = words[subscribing_ ? 1 : 0][static_cast<std::size_t>(kind_)];
    const std::size_t answers = std::max<std::size_t>(names_.size(), 1);
    for (std::size_t i = 0; i < answers; ++i) {
      if (subscribing_) hub_.subscribe(*owner_, kind_, names_[i]);
      if (out == nullptr) continue;  // the client is about to be closed
      resp::encoder encoder(*out, owner_->protocol());
      encoder.push(3);
      encoder.bulk(word);
      if (names_.empty()) {
        encoder.null();
      } else {
        encoder.bulk(names_[i]);
      }
      encoder.integer(subscribing_ ? count() : counts_[i]);
    }
  }

  const kind kind_;
  const bool subscribing_;
  std::vector<std::string> names_;
  std::size_t held_ = 0;  // of the names, the first ones
  std::vector<std::int64_t> counts_;
  subscription_hub& hub_;
  subscription_hub::targets targets_;
  std::optional<client::timer_queue::id> timer_;
  bool waiting_ = false;
};

/// PUBLISH and SPUBLISH while this daemon has subscribers: the bus's count of receivers is corrected.
class publish_operation final : public request_operation {
 public:
  publish_operation(pubsub_services& services, session& owner, routed_request& request, bus_index bus,
                    bool shard)
      : request_operation(services, owner, request),
        registry_(services.registry),
        channel_(request.args[1]),
        bus_(bus),
        shard_(shard) {}

  void on_reply(std::uint32_t, const backend::reply_view& answer) override {
    if (owner_ == nullptr) return destroy();
    const auto counted = resp::as_integer(answer.bytes);
    if (counted) {
      resp::encoder(reply()).integer(registry_.receivers(shard_, channel_, bus_, *counted));
    } else {
      reply().append(answer.bytes);
    }
    env_.times.add(bus_, arrived(), answer.bus_time);
    owner_->engine().bus_time += answer.bus_time;
    finish(answer.is_error() ? metrics::outcome::redis_error : metrics::outcome::ok);
  }
  void on_failure(std::uint32_t, backend::failure why) override {
    if (owner_ == nullptr) return destroy();
    resp::encoder(reply()).error(failure_text(env_, bus_, why));
    finish(outcome_of(why));
  }
  void destroy() override { delete this; }
  bool detach() override { return false; }

 private:
  const subscription_registry& registry_;
  const std::string channel_;
  const bus_index bus_;
  const bool shard_;
};

/// PUBSUB CHANNELS, NUMSUB, NUMPAT and their forms for shard channels: every bus is asked.
class pubsub_operation final : public single_round_operation {
 public:
  pubsub_operation(pubsub_services& services, session& owner, routed_request& request)
      : single_round_operation(services, owner, request),
        registry_(services.registry),
        args_(request.args.begin(), request.args.end()) {
    for (char& c : args_[1]) c = base::to_lower(c);
  }

 protected:
  void on_start() override {
    const std::vector<std::string_view> views(args_.begin(), args_.end());
    for (std::size_t i = 0; i < env_.buses.count(); ++i) send(static_cast<bus_index>(i), views);
  }

  void on_round(const parts& all) override {
    if (answer_error(all)) return;
    if (args_[1] == "numpat") {
      if (const auto sum = sum_of(all)) answer_integer(registry_.patterns(*sum));
      return;
    }
    if (args_[1] == "channels" || args_[1] == "shardchannels") return answer_names(all);
    answer_counts(all, args_[1] == "shardnumsub" ? kind::shard : kind::channel);
  }

 private:
  void answer_names(const parts& all) {
    std::set<std::string, std::less<>> names;
    for (const part& p : all) {
      resp::reply_reader reader(p.reply);
      for (std::size_t left = reader.next().elements; left > 0; --left) names.emplace(reader.next().text);
    }
    answer(metrics::outcome::ok, [&](resp::encoder& out, base::chunk_queue&) {
      out.array(names.size());
      for (const std::string& name : names) out.bulk(name);
    });
  }

  void answer_counts(const parts& all, kind k) {
    std::vector<std::int64_t> sums(args_.size() - 2);
    for (const part& p : all) {
      resp::reply_reader reader(p.reply);
      reader.next();
      for (std::int64_t& sum : sums) {
        reader.next();
        sum = base::add_saturated(sum, reader.next().number);
      }
    }
    answer(metrics::outcome::ok, [&](resp::encoder& out, base::chunk_queue&) {
      out.array(2 * sums.size());
      for (std::size_t i = 0; i < sums.size(); ++i) {
        out.bulk(args_[i + 2]);
        out.integer(registry_.subscribers(k, args_[i + 2], sums[i]));
      }
    });
  }

  const subscription_registry& registry_;
  std::vector<std::string> args_;
};

}  // namespace

std::string_view subscribing_command(kind k) {
  constexpr std::string_view commands[] = {"SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE"};
  return commands[static_cast<std::size_t>(k)];
}

void run_subscription(pubsub_services& services, session& client, routed_request& request) {
  const command::command_spec& spec = command::command_table()[request.command];
  const bool subscribing = spec.name.find("unsub") == std::string_view::npos;
  const kind k = spec.name[0] == 'p'                                        ? kind::pattern
                 : spec.name == "ssubscribe" || spec.name == "sunsubscribe" ? kind::shard
                                                                            : kind::channel;
  (new subscription_operation(services, client, request, k, subscribing, request.args.subspan(1)))->start();
}

void start_publish(pubsub_services& services, session& client, routed_request& request) {
  const command::plan& plan = request.plan;
  ++services.metrics.buses[plan.bus].pubsub_published[static_cast<std::size_t>(plan.rule)];
  if (services.registry.empty()) return services.forwarder.forward(client, request, plan.bus);
  const command::command_spec& spec = command::command_table()[request.command];
  backend::bus& target = services.buses.bus(plan.bus);
  backend::pipeline& requests = target.requests(client.protocol(), client.database(), services.turn.now);
  const bool accepted = requests.accepts();
  if (accepted && !requests.encode([&](auto& out) { resp::encoder(out).request(request.args); }))
    return refuse_without_memory(services, client, request);
  auto* const op = new publish_operation(services, client, request, plan.bus, spec.name == "spublish");
  client.enqueue(*op);
  if (!accepted) return op->on_failure(0, backend::failure::bus_down);
  requests.end(*op, 0, services.turn.now);
  if (requests.congested()) client.await_drain(target, request.raw.size());
}

void run_pubsub(pubsub_services& services, session& client, routed_request& request) {
  const auto is = [&](std::string_view name) { return base::equals_ignoring_case(request.args[1], name); };
  const std::size_t count = request.args.size();
  const bool merged = ((is("channels") || is("shardchannels")) && count <= 3) || is("numsub") ||
                      is("shardnumsub") || (is("numpat") && count == 2);
  if (merged) return (new pubsub_operation(services, client, request))->start();
  // HELP, and requests that Redis refuses in its own words.
  services.forwarder.forward(client, request, services.configuration().routing.default_bus);
}

}  // namespace dualbus::handler
