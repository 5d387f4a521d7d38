#include <dualbus/backend/write_group.hpp>
#include <dualbus/resp/encoder.hpp>
#include <dualbus/resp/reply_reader.hpp>

#include <algorithm>
#include <new>
#include <utility>

namespace dualbus::backend {
namespace {

constexpr std::size_t keep_bytes = std::size_t{64} << 10;
constexpr std::size_t most_error_chars = 100;

std::string of_wanted(std::int64_t confirmed, unsigned wanted, std::string_view what) {
  return std::to_string(confirmed) + " of " + std::to_string(wanted) + " " + std::string(what);
}

}  // namespace

/// One write, between the pipeline and the sink that waits for it.
class write_group::write final : public reply_sink {
 public:
  write(write_group& group, reply_sink& sink, std::uint32_t part, std::uint32_t replies, bool confirm,
        base::time_point now)
      : group_(group), sink_(sink), part_(part), replies_(replies), confirm_(confirm), queued_(now) {}

  void on_reply(std::uint32_t part, const reply_view& reply) override { group_.answered(*this, part, reply); }
  void on_failure(std::uint32_t part, failure why) override { group_.failed(*this, part, why); }
  bool abandoned() const override { return sink_.abandoned(); }
  bool needs_reply() const override { return sink_.needs_reply(); }
  bool stands_for(const reply_sink& who) const override { return &sink_ == &who; }
  std::uint64_t client() const override { return sink_.client(); }
  void tell_answered() {
    if (!std::exchange(answered_, true)) sink_.on_answered(part_);
  }

  write_group& group_;
  reply_sink& sink_;
  const std::uint32_t part_, replies_;  // its own part, or that of a block's last reply; replies of a block
  const bool confirm_;
  bool answered_ = false;
  const base::time_point queued_;
};

write_group::write_group(metrics::bus_metrics& metrics) : metrics_(metrics) {}

/// Knows whether the group has ended while somebody was told: an EXEC owns its group, and ends with it.
class write_group::witness {
 public:
  explicit witness(write_group& of) : of_(&of), before_(std::exchange(of.witness_, this)) {}
  ~witness() {
    if (of_ != nullptr) of_->witness_ = before_;
  }
  witness(const witness&) = delete;
  witness& operator=(const witness&) = delete;

  bool gone() const { return of_ == nullptr; }
  void note_end() {
    of_ = nullptr;
    if (before_ != nullptr) before_->note_end();
  }

 private:
  write_group* of_;
  witness* const before_;
};

write_group::~write_group() {
  if (witness_ != nullptr) witness_->note_end();
}

void write_group::add(pipeline& to, reply_sink& sink, std::uint32_t part, bool confirm,
                      base::time_point now) {
  write* const added = writes_.create(*this, sink, part, 1, confirm, now);
  to_confirm_ += confirm ? 1 : 0;
  to.end(*added, part, now);
}

void write_group::add_block(pipeline& to, reply_sink& sink, std::uint32_t replies, bool confirm,
                            base::time_point now) {
  write* const added = writes_.create(*this, sink, replies - 1, replies, confirm, now);
  to_confirm_ += confirm ? 1 : 0;
  to.end_block(*added, replies, now);
}

void write_group::close(pipeline& to, const config::acknowledge_settings& by, base::time_point now) {
  by_ = by;
  closed_ = true;
  const std::string replicas = std::to_string(by.replicas), local = std::to_string(by.local),
                    timeout = std::to_string(by.timeout.count());
  if (by.local > 0) {
    const std::string_view wait[] = {"WAITAOF", local, replicas, timeout};
    resp::encoder(to.begin()).request(wait);
  } else {
    const std::string_view wait[] = {"WAIT", replicas, timeout};
    resp::encoder(to.begin()).request(wait);
  }
  to.end(*this, 0, now);
}

void write_group::forget(write& ended) {
  to_confirm_ -= ended.confirm_ ? 1 : 0;
  writes_.destroy(&ended);
}

void write_group::answered(write& by, std::uint32_t part, const reply_view& reply) {
  reply_sink& sink = by.sink_;
  if (part < by.part_) return sink.on_reply(part, reply);  // of a block, not its last one
  metrics_.bus_duration.observe(reply.bus_time);
  by.tell_answered();
  if (!by.confirm_ || reply.is_error()) {
    reply_view passed = reply;
    passed.held = base::clock::now() - reply.bus_time - by.queued_;
    forget(by);
    return sink.on_reply(part, passed);
  }
  try {
    held_.push_back({&by, bytes_.size(), reply.bytes.size(), reply.type, reply.bus_time});
    bytes_.append(reply.bytes);
  } catch (const std::bad_alloc&) {
    if (!held_.empty() && held_.back().of == &by) held_.pop_back();
    forget(by);
    sink.on_failure(part, failure::bus_lost);
  }
}

void write_group::failed(write& by, std::uint32_t part, failure why) {
  reply_sink& sink = by.sink_;
  by.tell_answered();
  forget(by);
  sink.on_failure(part, why);
}

// -------------------------------------------------------------------------------------- the confirmation

std::string write_group::doubt(std::string_view answer) const {
  resp::reply_reader reader(answer);
  const resp::reply_value head = reader.next();
  std::int64_t local = 0, replicas = 0;
  if (head.is_integer()) {
    replicas = head.number;
  } else if (head.type == '*' && head.elements == 2) {
    local = reader.next().number;
    replicas = reader.next().number;
  } else {
    return "the bus does not say who has it: " +
           std::string(head.text.substr(0, std::min(head.text.size(), most_error_chars)));
  }
  if (replicas >= static_cast<std::int64_t>(by_.replicas) && local >= static_cast<std::int64_t>(by_.local))
    return {};
  std::string text;
  if (by_.local > 0) text = of_wanted(local, by_.local, "AOF");
  if (by_.local > 0 && by_.replicas > 0) text += " and ";
  if (by_.replicas > 0) text += of_wanted(replicas, by_.replicas, "replicas");
  return text + " confirmed within " + std::to_string(by_.timeout.count()) + " ms";
}

// Sinks may add writes to other groups while they are told, and to this one, which is open then.
void write_group::on_reply(std::uint32_t, const reply_view& reply) {
  const std::string why = doubt(reply.bytes);
  std::vector<held_answer> held;
  std::string bytes;
  held.swap(held_);
  bytes.swap(bytes_);
  closed_ = false;
  metrics_.confirmation_duration.observe(reply.bus_time);
  metrics_.confirmations += why.empty() ? 1 : 0;
  (why.empty() ? metrics_.confirmed_writes : metrics_.unconfirmed) += held.size();
  const base::time_point now = base::clock::now();
  const witness here(*this);
  for (const held_answer& h : held) {
    reply_sink& sink = h.of->sink_;
    const std::uint32_t part = h.of->part_;
    const reply_view view{std::string_view(bytes).substr(h.at, h.size), h.type, h.bus_time,
                          now - h.bus_time - h.of->queued_};
    forget(*h.of);
    why.empty() ? sink.on_reply(part, view) : sink.on_unconfirmed(part, view, why);
    if (here.gone()) return;
  }
  if (!held_.empty() || bytes.capacity() > keep_bytes) return;
  held.clear();
  bytes.clear();
  held_.swap(held);
  bytes_.swap(bytes);
}

void write_group::on_failure(std::uint32_t, failure why) {
  closed_ = false;
  // The writes have run, on a connection that is lost.
  end_held(why == failure::bus_down ? failure::bus_lost : why);
}

void write_group::lose_held() {
  end_held(failure::bus_lost);
}

void write_group::end_held(failure why) {
  const std::vector<held_answer> held = std::exchange(held_, {});
  bytes_.clear();
  const witness here(*this);
  for (const held_answer& h : held) {
    failed(*h.of, h.of->part_, why);
    if (here.gone()) return;
  }
}

void write_group::give_up(const reply_sink& sink) {
  std::vector<held_answer> ended;
  std::erase_if(held_, [&](const held_answer& h) {
    const bool its = h.of->stands_for(sink);
    if (its) ended.push_back(h);
    return its;
  });
  const witness here(*this);
  for (const held_answer& h : ended) {
    failed(*h.of, h.of->part_, failure::bus_timeout);
    if (here.gone()) return;
  }
}

}  // namespace dualbus::backend
