#include <dualbus/base/numbers.hpp>
#include <dualbus/client/session.hpp>
#include <dualbus/operation/forwarding.hpp>
#include <dualbus/operation/gather_operation.hpp>
#include <dualbus/resp/reply_reader.hpp>

#include <algorithm>
#include <new>
#include <utility>

namespace dualbus::operation {
namespace {

// Pipelines look at the time in every tick. They end commands of the first round by themselves, and they know
// whether these were sent.
constexpr std::chrono::milliseconds tick{50};

}  // namespace

gather_operation::gather_operation(environment& environment, session& owner, routed_request& request,
                                   bool holds)
    : request_operation(environment, owner, request),
      version_(owner.protocol()),
      spec_(command::command_table()[request.command]),
      one_round_(request.out.staged()),
      out_(&request.out),
      holds_(holds && !one_round_) {
  restart_clock();
}

void gather_operation::restart_clock() {
  const auto limit = env_.configuration().backend.request_timeout;
  if (limit.count() > 0 && !one_round_) deadline_ = env_.turn.now + limit;
}

bool gather_operation::time_is_over() const {
  return env_.turn.now >= deadline_;
}

void gather_operation::extend_clock() {
  deadline_ = env_.turn.now + base::duration(env_.configuration().backend.request_timeout) / 20;
}

void gather_operation::start() {
  owner_->enqueue(*this);
  if (holds_) owner_->hold();
  script_ = run();
  running_ = true;
  script_.start();
  after_step();
}

void gather_operation::resume() {
  running_ = true;
  std::exchange(waiting_, nullptr).resume();
  after_step();
}

// The operation is destroyed only here: run() waits for nothing any more, or for something that never comes.
void gather_operation::after_step() {
  running_ = false;
  if (script_.done()) {
    try {
      script_.finish();
    } catch (const std::bad_alloc&) {
      return end_without_memory();
    }
    return conclude();
  }
  if (owner_ == nullptr && outstanding_ == 0) {
    detach();
    destroy();
  }
}

// Answers may still come, but nobody waits for them. Closing the client frees the operation.
void gather_operation::end_without_memory() {
  out_->drop_unannounced();
  missed_ += std::exchange(outstanding_, 0);
  take_parts();
  if (owner_ != nullptr) return owner_->close(metrics::close_reason::memory);
  detach();
  destroy();
}

gather_operation::round_awaiter gather_operation::round() {
  if (owner_ != nullptr) owner_->forget_kept(*this);
  const auto limit = env_.configuration().backend.request_timeout;
  if (outstanding_ > 0 && deadline_ != base::time_point::max() && env_.turn.now + limit > deadline_ + tick) {
    clock_ = env_.turn.timers.add(deadline_, [this] {
      clock_.reset();
      expire();
    });
  }
  return {*this};
}

gather_operation::parts gather_operation::take_parts() {
  stop_clock();
  if (!parts_.empty()) out_ = &env_.buses;
  first_ += static_cast<std::uint32_t>(parts_.size());
  return std::exchange(parts_, {});
}

void gather_operation::stop_clock() {
  if (clock_) env_.turn.timers.cancel(*std::exchange(clock_, std::nullopt));
}

void gather_operation::expire() {
  ++outstanding_;  // keeps run() from going on within this loop
  expiring_ = true;
  for (std::size_t i = 0; i < env_.buses.count(); ++i) {
    env_.buses.bus(static_cast<command::bus_index>(i)).give_up(*this, env_.turn.now);
  }
  expiring_ = false;
  --outstanding_;
  resume();
}

void gather_operation::pause_awaiter::await_suspend(std::coroutine_handle<> waiting) {
  op.waiting_ = waiting;
  if (op.deadline_ != base::time_point::max()) op.deadline_ += delay;
  op.timer_ = op.env_.turn.timers.add(op.env_.turn.now + delay, [&op = op] {
    op.timer_.reset();
    op.resume();
  });
}

void gather_operation::send(command::bus_index bus, resp::arguments args, bool confirm) {
  const auto index = first_ + static_cast<std::uint32_t>(parts_.size());
  parts_.push_back({bus, {}, {}});
  if (env_.turn.now >= deadline_) {
    parts_.back().failed = backend::failure::bus_down;
    parts_.back().late = parts_.back().answered = true;
    return;
  }
  backend::durable_link* const durable =
      confirm && !out_->staged() ? &env_.buses.bus(bus).durable().of(version_, database_, env_.turn.now)
                                 : nullptr;
  backend::pipeline& requests =
      durable != nullptr ? durable->requests() : out_->requests(bus, version_, database_);
  if (!requests.accepts()) {
    parts_.back().failed = backend::failure::bus_down;
    parts_.back().answered = true;
    return;
  }
  const std::size_t before = requests.unsent_bytes();
  resp::encoder(requests.begin()).request(args);
  durable != nullptr ? durable->end(*this, index, true, env_.turn.now)
                     : requests.end(*this, index, env_.turn.now);
  ++outstanding_;  // not before: a command that finds no memory has no answer
  if (requests.congested() && owner_ != nullptr)
    owner_->await_drain(env_.buses.bus(bus), requests.unsent_bytes() - before);
}

gather_operation::part* gather_operation::find_part(std::uint32_t index) {
  if (index >= first_) {
    part& found = parts_[index - first_];
    found.answered = true;
    return &found;
  }
  --missed_;
  if (freed_ && missed_ == 0) delete this;
  return nullptr;
}

void gather_operation::on_reply(std::uint32_t index, const backend::reply_view& answer) {
  part* const to = find_part(index);
  if (to == nullptr) return;
  if (owner_ != nullptr) {
    owner_->engine().bus_time += answer.bus_time;
    owner_->note_kept(*this, answer.bytes.size());
  }
  if (answer.is_error()) env_.buses.bus(to->bus).note_error(answer.bytes);
  if (owner_ == nullptr && !holds_) {
    to->failed = backend::failure::bus_lost;
  } else {
    keep(*to, index - first_, answer);
  }
  if (--outstanding_ == 0) resume();
}

// In a transaction some parts only read.
void gather_operation::on_unconfirmed(std::uint32_t index, const backend::reply_view& answer,
                                      std::string_view why) {
  if (index < first_ || !command::has_flag(spec_, 'w')) return on_reply(index, answer);
  const command::bus_index bus = parts_[index - first_].bus;
  const std::string id =
      spec_.route == command::route::xadd ? added_id(env_, bus, answer.bytes, true) : std::string();
  const std::string text = "-" + unconfirmed_text(env_.buses.name(bus), answer.bytes, id, why) + "\r\n";
  on_reply(index, {text, '-', answer.bus_time, answer.held});
}

void gather_operation::keep(part& to, std::uint32_t index, const backend::reply_view& answer) {
  try {
    if (answer.is_error() || !take_reply(index, answer.bytes)) to.reply.assign(answer.bytes);
  } catch (const std::bad_alloc&) {
    if (owner_ != nullptr) owner_->close(metrics::close_reason::memory);
    to.failed = backend::failure::bus_lost;
  }
}

void gather_operation::on_failure(std::uint32_t index, backend::failure why) {
  part* const to = find_part(index);
  if (to == nullptr) return;
  to->failed = why;
  to->late = expiring_ && why == backend::failure::bus_down;
  if (--outstanding_ == 0) resume();
}

void gather_operation::destroy() {
  if (missed_ == 0) {
    delete this;
    return;
  }
  owner_ = nullptr;
  freed_ = true;
}

std::optional<std::int64_t> gather_operation::sum_of(const parts& all) {
  std::int64_t sum = 0;
  for (const part& p : all) {
    if (p.is_error()) continue;
    const auto value = resp::as_integer(p.reply);
    if (!value) {
      answer_nonsense(p.bus);
      return std::nullopt;
    }
    sum = base::add_saturated(sum, *value);
  }
  return sum;
}

void gather_operation::answer_nonsense(command::bus_index bus) {
  answer_refusal(nonsense_text("bus '" + env_.buses.name(bus) + "'"));
}

void gather_operation::answer_error(const part& bad) {
  const metrics::outcome answered =
      bad.reply.starts_with("-UNCONFIRMED ") ? metrics::outcome::unconfirmed : metrics::outcome::redis_error;
  const metrics::outcome outcome = bad.failed ? outcome_of(*bad.failed) : answered;
  answer(outcome, [&](resp::encoder& out, base::chunk_queue& raw) {
    if (bad.late) {
      out.error("BUSDOWN bus '" + env_.buses.name(bad.bus) +
                "' was not asked any more: backend.request_timeout was over, command not sent");
    } else if (bad.failed) {
      out.error(failure_text(env_, bad.bus, *bad.failed));
    } else {
      raw.append(bad.reply);
    }
  });
}

bool gather_operation::answer_error(const parts& all) {
  // A key that is no stream on some bus is the client's mistake, whatever happens on the others.
  auto bad =
      std::find_if(all.begin(), all.end(), [](const part& p) { return p.reply.starts_with("-WRONGTYPE"); });
  if (bad == all.end())
    bad = std::find_if(all.begin(), all.end(), [](const part& p) { return p.is_error(); });
  if (bad == all.end()) return false;
  answer_error(*bad);
  return true;
}

bool gather_operation::detach() {
  // Nobody needs the replies kept for a single round; requests of several steps go on.
  if (!holds_) {
    for (part& p : parts_) {
      p.reply.clear();
      p.failed = backend::failure::bus_lost;
    }
  }
  if (running_ || outstanding_ > 0) return false;
  stop_clock();
  if (timer_) env_.turn.timers.cancel(*std::exchange(timer_, std::nullopt));
  on_abandoned();
  return true;
}

void gather_operation::conclude() {
  if (owner_ == nullptr) return destroy();
  if (holds_) owner_->release();
  finish(outcome_);
}

base::task<> single_round_operation::run() {
  on_start();
  const parts all = co_await round();
  on_round(all);
}

}  // namespace dualbus::operation
