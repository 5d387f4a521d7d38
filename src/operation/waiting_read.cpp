#include <dualbus/base/deadline.hpp>
#include <dualbus/base/log.hpp>
#include <dualbus/client/session.hpp>
#include <dualbus/operation/waiting_read.hpp>
#include <dualbus/resp/reply_reader.hpp>

#include <algorithm>
#include <chrono>
#include <utility>

namespace dualbus::operation {

waiting_read::waiting_read(stream_environment& environment, session& owner, routed_request& request,
                           stream::read_request read)
    : group_operation(environment, owner, request, true),
      request_(std::move(read)),
      routing_(environment.routing.number()) {
  for (const stream::read_request::key& key : request_.keys) {
    keys_.push_back({key.name, environment.routing.router().whole_bus(key.name),
                     stream::entry_merge(environment.chunks)});
  }
}

std::size_t waiting_read::add_entries(key_read& key, command::bus_index bus, std::string_view reply) {
  resp::reply_reader reader(reply);
  const resp::reply_value keys = reader.next();
  if (keys.elements == 0) return 0;
  if (keys.type == '*') reader.next();  // the pair
  reader.next();                        // the key's name
  const std::size_t omitted = key.found.omitted();
  const std::size_t count =
      is_whole(key) ? key.found.add_as_is(reader) : key.found.add(reader, env_.buses.slot_of(bus));
  env_.metrics.buses[bus].entries_omitted += key.found.omitted() - omitted;
  if (key.found.omitted() > omitted) {
    base::error_limited(
        env_.buses.name(bus),
        "stream '{}' on bus '{}': {} entries left out: their IDs were not made by Redis's clock and have no "
        "client form",
        base::in_log(key.name), env_.buses.name(bus), key.found.omitted() - omitted);
  }
  return count;
}

// -------------------------------------------------------------------------------------------------- answers

void waiting_read::answer_nil() {
  answer(metrics::outcome::ok, [](resp::encoder& out, base::chunk_queue&) { out.null_array(); });
}

void waiting_read::answer_entries() {
  const auto shown = [](const key_read& key) { return key.chosen > 0 || key.always; };
  const auto count = std::count_if(keys_.begin(), keys_.end(), shown);
  if (count == 0) return answer_nil();
  if (owner_ != nullptr) {
    for (const key_read& key : keys_) {
      if (!key.always) owner_->engine().messages_consumed += key.chosen;
    }
  }
  answer(metrics::outcome::ok, [&](resp::encoder& out, base::chunk_queue& raw) {
    const bool map = version_ == resp::protocol::resp3;
    map ? out.map(static_cast<std::size_t>(count)) : out.array(static_cast<std::size_t>(count));
    for (key_read& key : keys_) {
      if (!shown(key)) continue;
      if (!map) out.array(2);
      out.bulk(key.name);
      key.found.write(raw);
    }
  });
  if (why_.because == stream::parked_reads::cause::none) return;
  metrics::histogram& wakes = why_.because == stream::parked_reads::cause::local
                                  ? env_.metrics.local_wakes
                                  : env_.metrics.notified_wakes;
  wakes.observe(base::clock::now() - why_.since);
}

void waiting_read::answer_event() {
  if (event_ == event::refused) {
    return answer_refusal(refusal_);
  }
  answer_nil();
}

// -------------------------------------------------------------------------------------------------- waiting

bool waiting_read::may_wait() const {
  return request_.block && !one_round_ && owner_ != nullptr && !owner_->draining();
}

std::optional<base::time_point> waiting_read::deadline() const {
  auto wait = *request_.block;
  const auto most = env_.configuration().limits.max_block;
  if (most.count() > 0 && (wait.count() == 0 || most < wait)) wait = most;
  if (wait.count() == 0) return std::nullopt;
  return base::later(arrived(), wait);
}

bool waiting_read::park(std::optional<std::string_view> group,
                        const std::vector<parking_lot::sightings>& seen,
                        std::optional<base::time_point> deadline) {
  std::vector<parking_lot::source> sources;
  for (const key_read& key : keys_) sources.push_back({key.name, key.only});
  owner_->set_blocked(true);
  if (ended_by_reload()) {
    owner_->set_blocked(false);
    return false;
  }
  in_order_ = reads_in_order();
  parked_ = streams_.parking.park(*this, sources, group, seen, deadline, in_order_);
  note_waiting();
  return true;
}

// About the memory of a reader that waits; the replies that a read keeps are counted in its place.
void waiting_read::note_waiting() {
  constexpr std::size_t reader = 1024, source = 256;
  std::size_t bytes = reader;
  for (const key_read& key : keys_) bytes += source + 2 * key.name.size();
  owner_->forget_kept(*this);
  owner_->note_kept(*this, bytes);
}

bool waiting_read::misplaced() const {
  return std::any_of(keys_.begin(), keys_.end(), [this](const key_read& key) {
    return env_.routing.router().whole_bus(key.name) != key.only;
  });
}

std::vector<std::string> waiting_read::lasting_request() const {
  if (!request_.block) return {};
  std::vector<std::string> words = {request_.group ? "XREADGROUP" : "XREAD"};
  if (request_.group) words.insert(words.end(), {"GROUP", *request_.group, request_.consumer});
  words.emplace_back("STREAMS");
  for (const stream::read_request::key& key : request_.keys) words.push_back(key.name);
  words.insert(words.end(), request_.keys.size(), request_.group ? ">" : "$");
  return words;
}

bool waiting_read::refuse_wait(std::string_view error) {
  refusal_ = error;
  return end_parking(event::refused);
}

// A reload that came during the look has ended nothing: the entries found were to be answered first.
bool waiting_read::ended_by_reload() {
  if (std::exchange(routing_, env_.routing.number()) == env_.routing.number() || owner_ == nullptr)
    return false;
  event_ = event::wake;
  between_looks_ = true;
  owner_->review_wait();
  between_looks_ = false;
  return event_ != event::wake;
}

void waiting_read::on_wake(const std::vector<parking_lot::target>& targets, const reason& why) {
  event_ = event::wake;
  targets_ = targets;
  why_ = why;
  restart_clock();
  resume();
}

void waiting_read::on_expire() {
  event_ = event::expired;
  if (owner_ != nullptr) owner_->set_blocked(false);
  parked_ = 0;
  resume();
}

// A read under way is not given up: entries that it finds have been handed to this client.
bool waiting_read::unblock(bool with_error) {
  refusal_ = "UNBLOCKED client unblocked via CLIENT UNBLOCK";
  return end_parking(with_error ? event::refused : event::unblocked);
}

// The parking lot may have decided to wake this reader, but not have called it yet.
bool waiting_read::taking() const {
  return parked_ != 0 && streams_.parking.looks(parked_);
}

bool waiting_read::pack_wait(client::packed_wait& out) {
  if (parked_ == 0 || streams_.parking.looks(parked_)) return false;
  const auto until = deadline();
  const auto left = until ? std::chrono::ceil<std::chrono::milliseconds>(*until - env_.turn.now)
                          : std::chrono::milliseconds(0);
  if (until && left.count() <= 0) return false;  // it ends now
  out.words = {request_.group ? "XREADGROUP" : "XREAD"};
  if (request_.group) out.words.insert(out.words.end(), {"GROUP", *request_.group, request_.consumer});
  if (request_.count != 0) out.words.insert(out.words.end(), {"COUNT", std::to_string(request_.count)});
  out.words.insert(out.words.end(), {"BLOCK", std::to_string(left.count())});
  if (request_.no_ack) out.words.emplace_back("NOACK");
  out.words.emplace_back("STREAMS");
  for (const stream::read_request::key& key : request_.keys) out.words.push_back(key.name);
  pack_positions(out);
  return true;
}

bool waiting_read::end_parking(event why) {
  if (between_looks_) {
    event_ = why;
    return true;
  }
  if (parked_ == 0 || !streams_.parking.unblock(parked_)) return false;
  event_ = why;
  owner_->set_blocked(false);
  parked_ = 0;
  resume();
  return true;
}

bool waiting_read::stay(const std::vector<parking_lot::target>& failed,
                        std::optional<base::time_point> again) {
  if (ended_by_reload()) {
    leave(false);
    return false;
  }
  streams_.parking.swept(parked_, failed, again);
  if (owner_ != nullptr) note_waiting();
  if (owner_ != nullptr) owner_->set_blocked(true);  // the client may have gone meanwhile
  // The other waiting clients were closed when the daemon began to drain.
  if (owner_ != nullptr && owner_->draining()) owner_->drain_soon();
  return true;
}

// While nobody waits, the armings may move to another connection.
bool waiting_read::reads_in_order() const {
  return in_order_ && streams_.parking.in_order(version_, database_);
}

parking_lot::sightings::value_type waiting_read::note_sending(std::size_t key, command::bus_index bus) {
  const auto seen = streams_.parking.send(keys_[key].name, bus, reads_in_order());
  if (parked_ != 0) streams_.parking.sent(parked_, {static_cast<std::uint32_t>(key), bus}, seen);
  return seen;
}

void waiting_read::leave(bool served, const std::vector<parking_lot::target>& ended) {
  streams_.parking.leave(std::exchange(parked_, 0), served, ended);
  if (owner_ != nullptr) owner_->set_blocked(false);
}

void waiting_read::on_abandoned() {
  if (parked_ != 0) streams_.parking.leave(std::exchange(parked_, 0), false, {});
}

bool waiting_read::client_gone() const {
  return owner_ == nullptr || owner_->peer_gone();
}

}  // namespace dualbus::operation
