#include "publisher.hpp"

#include <dualbus/resp/reply_reader.hpp>

#include <algorithm>
#include <chrono>
#include <numeric>

namespace dualbus::fleet {
namespace {

// An engine that is later than this gives up what was due, as the legacy one does.
constexpr std::chrono::seconds patience{1};

}  // namespace

publisher::publisher(event_loop& loop, const options& o, const roster& who, const engine& self,
                     const std::array<boost::asio::ip::tcp::endpoint, bus_classes>& servers,
                     std::uint64_t seed, delivery_book& book)
    : options_(o),
      who_(who),
      book_(book),
      message_(self.name, self.instance, o.payload_bytes, o.maxlen),
      random_(seed),
      due_timer_(loop.io()),
      interval_(std::chrono::duration_cast<base::duration>(
          std::chrono::duration<double>(o.rate > 0 ? 1 / o.rate : 3600.0))),
      targets_(who.streams().size()) {
  std::iota(targets_.begin(), targets_.end(), std::size_t{0});
  targets_.resize(std::min(targets_.size(), o.targets));
  next_target_ = targets_.size();
  for (std::size_t bus = 0; bus < bus_classes; ++bus) {
    if (bus > 0 && servers[bus] == servers[0]) break;
    connection_of_[bus] = connections_.size();
    connections_.push_back(
        std::make_unique<connection>(loop, servers[bus], o.names ? self.name : std::string(), *this));
  }
}

void publisher::open() {
  for (auto& c : connections_) c->open();
}

void publisher::close() {
  stop();
  due_timer_.cancel();
  for (auto& c : connections_) c->close();
}

bool publisher::is_open() const {
  return std::all_of(connections_.begin(), connections_.end(), [](const auto& c) { return c->is_open(); });
}

void publisher::start(base::time_point when) {
  if (options_.rate <= 0) return;
  due_ = when +
         base::duration(std::uniform_int_distribution<base::duration::rep>(0, interval_.count())(random_));
  await_due();
}

void publisher::await_due() {
  if (stopped_) return;
  const base::time_point now = base::clock::now();
  if (due_ + patience < now) {
    const auto late = (now - patience - due_) / interval_ + 1;
    book_.counters.skipped += static_cast<std::uint64_t>(late);
    due_ += late * interval_;
  }
  due_timer_.expires_at(due_);
  due_timer_.async_wait([this](const boost::system::error_code& error) {
    if (error || stopped_) return;
    broadcast();
  });
}

void publisher::choose_targets() {
  if (targets_.size() == who_.streams().size()) return;
  std::vector<std::size_t> all(who_.streams().size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  targets_.clear();
  std::sample(all.begin(), all.end(), std::back_inserter(targets_), options_.targets, random_);
}

void publisher::broadcast() {
  const bool marketdata = std::uniform_real_distribution<>()(random_) < options_.marketdata_share;
  const message_type first = marketdata ? 0 : marketdata_types();
  const message_type count =
      marketdata ? marketdata_types() : static_cast<message_type>(type_names().size() - marketdata_types());
  type_ = static_cast<message_type>(first + random_() % count);
  active_ = connection_of_[static_cast<std::size_t>(bus_of(type_))];
  message_.begin(broadcasts_++);
  choose_targets();
  next_target_ = 0;
  due_ += interval_;
  if (!current().is_open()) return;  // on_open goes on
  advance();
  current().flush();
}

// Called when nothing is in flight.
void publisher::advance() {
  if (next_target_ == targets_.size()) return await_due();
  do {
    send_next();
  } while (options_.pipelined && next_target_ < targets_.size());
}

void publisher::send_next() {
  const std::size_t stream = targets_[next_target_++];
  const std::uint64_t index = book_.entries.publish(stream, type_, base::clock::now());
  message_.append(current().out(), who_.streams()[stream], type_,
                  {book_.run, static_cast<std::uint32_t>(stream), index});
  outstanding_.push_back({stream, index});
  book_.counters.calls.call();
}

void publisher::on_reply(connection&, std::string_view reply, char type, base::time_point) {
  const sent answered = outstanding_.front();
  outstanding_.pop_front();
  if (type == '-') {
    const std::string_view text = resp::reply_reader(reply).next().text;
    book_.counters.calls.fail(text);
    // The outcome of these two is unknown.
    if (text.starts_with("BUSLOST") || text.starts_with("BUSTIMEOUT")) {
      book_.entries.lose_answer(answered.stream, answered.index);
    } else {
      book_.entries.refuse(answered.stream, answered.index);
    }
  } else {
    book_.entries.acknowledge(answered.stream, answered.index);
  }
  if (outstanding_.empty()) advance();
}

void publisher::on_lost(connection&) {
  ++book_.counters.reconnects;
  // Only the active connection has anything in flight.
  if (current().is_open()) return;
  book_.counters.calls.lose(outstanding_.size());
  while (!outstanding_.empty()) {
    book_.entries.lose_answer(outstanding_.front().stream, outstanding_.front().index);
    outstanding_.pop_front();
  }
  if (next_target_ == targets_.size() && broadcasts_ > 0) await_due();
}

void publisher::on_open(connection& from) {
  if (broadcasts_ > 0 && &from == &current() && next_target_ < targets_.size()) advance();
}

}  // namespace dualbus::fleet
