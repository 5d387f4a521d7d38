#include <dualbus/base/numbers.hpp>
#include <dualbus/resp/reply_reader.hpp>
#include <dualbus/session/gather_operation.hpp>
#include <dualbus/session/session.hpp>
#include <dualbus/session/subscription_commands.hpp>
#include <dualbus/session/worker_context.hpp>

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace dualbus::session {
namespace {

using command::bus_index;
using kind = backend::subscription;

/// SUBSCRIBE and UNSUBSCRIBE and their kin. It is alone in its client's queue, so that no message comes
/// before the confirmation of its subscription, and what it says is said even if replies are off (CLIENT
/// REPLY), as in Redis.
class subscription_operation final : public operation, private subscription_hub::waiter {
 public:
  subscription_operation(worker_context& context, session& owner, std::uint16_t command, kind k,
                         bool subscribing, resp::arguments names)
      : operation(context, owner, command),
        kind_(k),
        subscribing_(subscribing),
        names_(names.begin(), names.end()),
        hub_(context.subscriptions()) {}

  void start() {
    owner_->enqueue(*this);
    if (subscribing_) {
      for (const std::string& name : names_) hub_.hold(kind_, name);
    } else {
      unsubscribe();
    }
    targets_ = hub_.current_targets();
    if (ready()) return conclude();
    owner_->hold();
    waiting_ = true;
    hub_.await(*this);
    const config::backend_settings& backend = context_.configuration().backend;
    const bool limited = backend.request_timeout.count() > 0;
    const auto wait =
        limited ? std::min(backend.reconnect_wait, backend.request_timeout) : backend.reconnect_wait;
    timer_ = context_.timers.add(context_.now + wait, [this] {
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
      } else if (hub_.up(bus) || (subscribing_ && context_.bus(bus).up())) {
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
    if (timer_) context_.timers.cancel(*std::exchange(timer_, std::nullopt));
    if (owner_ != nullptr) owner_->release();
  }

  void release_names() {
    for (const std::string& name : names_) hub_.release(kind_, name);
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
      if (!reached(i)) ++context_.metrics.buses[i].pubsub_unconfirmed;
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

  // UNSUBSCRIBE without names means all of them; without any, there is one answer that names none.
  void unsubscribe() {
    if (names_.empty()) names_ = hub_.table().names_of(owner_->id(), kind_);
    for (const std::string& name : names_) {
      hub_.unsubscribe(*owner_, kind_, name);
      counts_.push_back(count());
    }
    if (names_.empty()) counts_.push_back(count());
  }

  // Redis counts channels and patterns together, shard channels on their own.
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
  std::vector<std::int64_t> counts_;
  subscription_hub& hub_;
  subscription_hub::targets targets_;
  std::optional<timer_queue::id> timer_;
  bool waiting_ = false;
};

/// PUBLISH and SPUBLISH while this daemon has subscribers: the bus's count of receivers is corrected.
class publish_operation final : public operation {
 public:
  publish_operation(worker_context& context, session& owner, const request& what, bus_index bus, bool shard)
      : operation(context, owner, what.command), channel_(what.args[1]), bus_(bus), shard_(shard) {}

  void on_reply(std::uint32_t, const backend::reply_view& answer) override {
    if (owner_ == nullptr) return destroy();
    const auto counted = resp::as_integer(answer.bytes);
    if (counted) {
      resp::encoder(reply()).integer(
          context_.daemon.subscriptions.receivers(shard_, channel_, bus_, *counted));
    } else {
      reply().append(answer.bytes);
    }
    context_.observe(bus_, arrived(), answer.bus_time);
    owner_->engine().bus_time += answer.bus_time;
    finish(answer.is_error() ? metrics::outcome::redis_error : metrics::outcome::ok);
  }
  void on_failure(std::uint32_t, backend::failure why) override {
    if (owner_ == nullptr) return destroy();
    resp::encoder(reply()).error(failure_text(context_, bus_, why));
    finish(outcome_of(why));
  }
  void destroy() override { delete this; }
  bool detach() override { return false; }

 private:
  const std::string channel_;
  const bus_index bus_;
  const bool shard_;
};

/// PUBSUB CHANNELS, NUMSUB, NUMPAT and those of shard channels: every bus is asked.
class pubsub_operation final : public single_round_operation {
 public:
  pubsub_operation(worker_context& context, session& owner, const request& what)
      : single_round_operation(context, owner, what.command), args_(what.args.begin(), what.args.end()) {
    for (char& c : args_[1]) c = base::to_lower(c);
  }

 protected:
  void on_start() override {
    const std::vector<std::string_view> views(args_.begin(), args_.end());
    for (std::size_t i = 0; i < context_.bus_count(); ++i) send(static_cast<bus_index>(i), views);
  }

  void on_round(const parts& all) override {
    if (answer_error(all)) return;
    if (args_[1] == "numpat") {
      if (const auto sum = sum_of(all)) answer_integer(context_.daemon.subscriptions.patterns(*sum));
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
        out.integer(context_.daemon.subscriptions.subscribers(k, args_[i + 2], sums[i]));
      }
    });
  }

  std::vector<std::string> args_;
};

}  // namespace

std::string_view subscribing_command(kind k) {
  constexpr std::string_view commands[] = {"SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE"};
  return commands[static_cast<std::size_t>(k)];
}

void run_subscription(worker_context& context, session& client, const command::command_spec& spec,
                      const request& what) {
  const bool subscribing = spec.name.find("unsub") == std::string_view::npos;
  const kind k = spec.name[0] == 'p'                                        ? kind::pattern
                 : spec.name == "ssubscribe" || spec.name == "sunsubscribe" ? kind::shard
                                                                            : kind::channel;
  (new subscription_operation(context, client, what.command, k, subscribing, what.args.subspan(1)))->start();
}

void start_publish(worker_context& context, session& client, const request& what, const command::plan& plan) {
  ++context.metrics.buses[plan.bus].pubsub_published[static_cast<std::size_t>(plan.rule)];
  if (context.daemon.subscriptions.empty()) return forward(context, client, what, plan.bus, false);
  const command::command_spec& spec = command::command_table()[what.command];
  backend::bus& target = context.bus(plan.bus);
  backend::pipeline& requests = target.requests(client.protocol(), client.database(), context.now);
  const bool accepted = requests.accepts();
  if (accepted && !requests.encode([&](auto& out) { resp::encoder(out).request(what.args); }))
    return refuse_without_memory(context, client, what.command);
  auto* const op = new publish_operation(context, client, what, plan.bus, spec.name == "spublish");
  client.enqueue(*op);
  if (!accepted) return op->on_failure(0, backend::failure::bus_down);
  requests.end(*op, 0, context.now);
  if (requests.congested()) client.await_drain(target, what.raw.size());
}

void run_pubsub(worker_context& context, session& client, const request& what) {
  const auto is = [&](std::string_view name) { return base::equals_ignoring_case(what.args[1], name); };
  const std::size_t count = what.args.size();
  const bool merged = ((is("channels") || is("shardchannels")) && count <= 3) || is("numsub") ||
                      is("shardnumsub") || (is("numpat") && count == 2);
  if (merged) return (new pubsub_operation(context, client, what))->start();
  // HELP, and what Redis refuses in its own words.
  forward(context, client, what, context.configuration().routing.default_bus, false);
}

}  // namespace dualbus::session
