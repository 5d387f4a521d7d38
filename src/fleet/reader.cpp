#include "reader.hpp"

#include <dualbus/resp/encoder.hpp>

#include <algorithm>
#include <utility>

namespace dualbus::fleet {
namespace {

std::vector<std::string> keys_of(const roster& who, const std::vector<std::size_t>& streams) {
  std::vector<std::string> keys;
  for (const std::size_t stream : streams) keys.push_back(who.streams()[stream]);
  return keys;
}

}  // namespace

reader::reader(event_loop& loop, const options& o, const roster& who, const engine& self,
               std::vector<std::size_t> streams, boost::asio::ip::tcp::endpoint server,
               std::optional<bus_class> only, delivery_book& book)
    : options_(o),
      self_(self),
      group_(who.groups()[self.group]),
      streams_(std::move(streams)),
      keys_(keys_of(who, streams_)),
      only_(only),
      book_(book),
      connection_(loop, std::move(server), o.names ? self.name : std::string(), *this),
      pause_(loop.io()),
      schedule_(streams_.size(), o.readers) {}

void reader::stop() {
  stopped_ = true;
  pause_.cancel();
  connection_.close();
}

void reader::on_open(connection&) {
  poll();
}

void reader::on_lost(connection&) {
  if (asking_) book_.counters.calls.lose(1);
  ++book_.counters.reconnects;
  asking_ = false;
  // Entries that were read and not acknowledged stay pending, unless they are asked for.
  acks_.clear();
  acked_ = acking_ = 0;
  recovering_ = options_.recover;
  recovered_ = false;
  pause_.cancel();
}

void reader::poll() {
  const poll_schedule::poll next = schedule_.next();
  std::vector<std::string_view> args = {"XREADGROUP", "GROUP", group_, self_.consumer, "COUNT"};
  const std::string count = std::to_string(options_.count),
                    block = std::to_string(options_.poll.block.count());
  args.push_back(count);
  if (options_.poll.blocks && !recovering_) args.insert(args.end(), {"BLOCK", block});
  args.push_back("STREAMS");
  for (std::size_t i = 0; i < next.count; ++i) args.push_back(keys_[next.first + i]);
  for (std::size_t i = 0; i < next.count; ++i) args.push_back(recovering_ ? "0" : ">");
  resp::encoder(connection_.out()).request(args);
  book_.counters.calls.call();
  ++book_.counters.polls;
  asking_ = true;
}

void reader::on_reply(connection&, std::string_view reply, char type, base::time_point received) {
  asking_ = false;
  if (acking_ > 0) return on_ack_reply(reply, type);
  on_poll_reply(reply, type, received);
}

void reader::on_poll_reply(std::string_view reply, char type, base::time_point received) {
  resp::reply_reader values(reply);
  const resp::reply_value head = values.next();
  if (type == '-') {
    book_.counters.calls.fail(head.text);
    return finish_poll(false);
  }
  const std::size_t found = head.is_aggregate() && !head.null ? take_streams(values, head, received) : 0;
  if (found == 0) {
    if (!recovering_) ++book_.counters.empty_polls;
    return finish_poll(false);
  }
  recovered_ = recovered_ || recovering_;
  acknowledge();
}

std::size_t reader::take_streams(resp::reply_reader& values, const resp::reply_value& head,
                                 base::time_point received) {
  std::size_t found = 0;
  for (std::size_t i = 0; i < head.elements; ++i) {
    values.next();  // the pair
    const std::string_view key = values.next().text;
    const auto position =
        static_cast<std::size_t>(std::find(keys_.begin(), keys_.end(), key) - keys_.begin());
    const resp::reply_value entries = values.next();
    for (std::size_t entry = 0; entry < entries.elements; ++entry, ++found)
      take_entry(values, position, received);
  }
  return found;
}

void reader::take_entry(resp::reply_reader& values, std::size_t position, base::time_point received) {
  values.next();  // the pair
  const std::string_view id = values.next().text;
  const resp::reply_value fields = values.next();
  std::string_view type, correlation;
  for (std::size_t i = 0; i + 1 < fields.elements; i += 2) {
    const std::string_view name = values.next().text, value = values.next().text;
    if (name == "message_type") type = value;
    if (name == "correlation_id") correlation = value;
  }
  if (position == keys_.size() || id.size() > std::tuple_size_v<decltype(entry_id::text)>) {
    ++book_.counters.foreign;  // of a stream that it did not ask for
    return;
  }
  entry_id& ack = acks_.emplace_back();
  std::copy(id.begin(), id.end(), ack.text.begin());
  ack.size = static_cast<std::uint8_t>(id.size());
  ack.poll_position = static_cast<std::uint8_t>(position);
  // A pending entry whose message was deleted has no fields; it only needs to be acknowledged.
  if (!fields.null) deliver(type, correlation, streams_[position], received);
}

void reader::deliver(std::string_view type, std::string_view correlation, std::size_t stream,
                     base::time_point received) {
  const auto name = parse_message_name(correlation);
  if (!name || name->run != book_.run) {
    ++book_.counters.foreign;
    return;
  }
  const auto known = find_type(type);
  const bool misplaced = name->stream != stream || !known || (only_ && bus_of(*known) != *only_);
  if (recovering_ && book_.entries.has(stream, name->index, self_.group)) {
    return;  // it got the message before the connection was lost, but not the acknowledgement through
  }
  if (recovering_) ++book_.counters.recovered;
  const auto told = book_.entries.deliver(stream, name->index, misplaced ? no_type : *known, self_.group);
  if (told.what != ledger::verdict::first) return;
  const auto taken = received - told.published;
  if (!book_.publishing) {
    book_.late.record(taken);
  } else if (told.published >= book_.measured_from) {
    book_.latency[static_cast<std::size_t>(bus_of(*known))].record(taken);
  }
}

void reader::acknowledge() {
  const entry_id& first = acks_[acked_];
  // One call may name entries of one stream only.
  std::vector<std::string_view> args = {"XACK", keys_[first.poll_position], group_};
  acking_ = 0;
  do {
    args.push_back(acks_[acked_ + acking_].view());
    ++acking_;
  } while (options_.batch_acks && acked_ + acking_ < acks_.size() &&
           acks_[acked_ + acking_].poll_position == first.poll_position);
  resp::encoder(connection_.out()).request(args);
  book_.counters.calls.call();
  ++book_.counters.acks;
  asking_ = true;
}

void reader::on_ack_reply(std::string_view reply, char type) {
  if (type == '-') {
    book_.counters.calls.fail(resp::reply_reader(reply).next().text);
    recovering_ = false;  // it would stay pending, and be read for ever
  } else {
    const auto count = resp::as_integer(reply).value_or(0);
    book_.counters.acks_without_entry += acking_ - std::min(acking_, static_cast<std::size_t>(count));
  }
  acked_ += acking_;
  acking_ = 0;
  if (acked_ < acks_.size()) return acknowledge();
  acks_.clear();
  acked_ = 0;
  finish_poll(true);
}

void reader::finish_poll(bool found) {
  const bool pause = schedule_.finish(found);
  if (recovering_ && schedule_.at_start() && !std::exchange(recovered_, false)) recovering_ = false;
  if (!pause || options_.pause.count() == 0) return poll();
  pause_.expires_after(options_.pause);
  pause_.async_wait([this](const boost::system::error_code& error) {
    if (error || stopped_ || !connection_.is_open() || asking_) return;
    poll();
    connection_.flush();
  });
}

}  // namespace dualbus::fleet
