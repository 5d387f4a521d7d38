#include <dualbus/base/deadline.hpp>
#include <dualbus/base/log.hpp>
#include <dualbus/resp/reply_reader.hpp>
#include <dualbus/session/session.hpp>
#include <dualbus/session/waiting_read.hpp>
#include <dualbus/session/worker_context.hpp>

#include <algorithm>
#include <utility>

namespace dualbus::session {

waiting_read::waiting_read(worker_context& context, session& owner, std::uint16_t command,
                           stream::read_request what)
    : group_operation(context, owner, command, true),
      request_(std::move(what)),
      routing_(context.routing_number()) {
  for (const stream::read_request::key& key : request_.keys) {
    keys_.push_back(
        {key.name, context.router().whole_bus(key.name), stream::entry_merge(context.client_chunks)});
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
      is_whole(key) ? key.found.add_as_is(reader) : key.found.add(reader, context_.slot_of(bus));
  context_.metrics.buses[bus].entries_omitted += key.found.omitted() - omitted;
  if (key.found.omitted() > omitted) {
    base::error_limited(
        context_.bus_name(bus),
        "stream '{}' on bus '{}': {} entries left out: their IDs were not made by Redis's clock and have no "
        "client form",
        base::in_log(key.name), context_.bus_name(bus), key.found.omitted() - omitted);
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
                                  ? context_.metrics.local_wakes
                                  : context_.metrics.notified_wakes;
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
  const auto most = context_.configuration().limits.max_block;
  if (most.count() > 0 && (wait.count() == 0 || most < wait)) wait = most;
  if (wait.count() == 0) return std::nullopt;
  return base::later(arrived(), wait);
}

void waiting_read::park(std::optional<std::string_view> group,
                        const std::vector<parking_lot::sightings>& seen,
                        std::optional<base::time_point> deadline) {
  std::vector<parking_lot::source> sources;
  for (const key_read& key : keys_) sources.push_back({key.name, key.only});
  owner_->set_blocked(true);
  parked_ = context_.parking().park(*this, sources, group, seen, deadline);
  note_waiting();
  note_reload();
}

// The memory of a reader that waits, more or less; what a read keeps of replies takes its place.
void waiting_read::note_waiting() {
  constexpr std::size_t reader = 1024, source = 256;
  std::size_t bytes = reader;
  for (const key_read& key : keys_) bytes += source + 2 * key.name.size();
  owner_->forget_kept(*this);
  owner_->note_kept(*this, bytes);
}

bool waiting_read::misplaced() const {
  return std::any_of(keys_.begin(), keys_.end(), [this](const key_read& key) {
    return context_.router().whole_bus(key.name) != key.only;
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

// A reload came while it was reading: then it did not end the wait.
void waiting_read::note_reload() {
  if (std::exchange(routing_, context_.routing_number()) == context_.routing_number() || owner_ == nullptr)
    return;
  context_.timers.add(context_.now, [&context = context_, id = owner_->id()] {
    if (session* const client = context.clients.find(id)) client->review();
  });
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

// A read that is out is not given up: what it finds has been handed to this client.
bool waiting_read::unblock(bool with_error) {
  refusal_ = "UNBLOCKED client unblocked via CLIENT UNBLOCK";
  return end_parking(with_error ? event::refused : event::unblocked);
}

// The parking lot may have decided that this one looks, and not have said so yet.
bool waiting_read::taking() const {
  return parked_ != 0 && context_.parking().looks(parked_);
}

bool waiting_read::end_parking(event why) {
  if (parked_ == 0 || !context_.parking().unblock(parked_)) return false;
  event_ = why;
  owner_->set_blocked(false);
  parked_ = 0;
  resume();
  return true;
}

void waiting_read::stay(const std::vector<parking_lot::target>& failed,
                        std::optional<base::time_point> again) {
  context_.parking().swept(parked_, failed, again);
  note_reload();
  if (owner_ != nullptr) note_waiting();
  if (owner_ != nullptr) owner_->set_blocked(true);  // it may have gone meanwhile
  // The others who wait were closed when the daemon began to leave.
  if (owner_ != nullptr && owner_->draining()) owner_->drain_soon();
}

void waiting_read::leave(bool served) {
  context_.parking().leave(std::exchange(parked_, 0), served);
  if (owner_ != nullptr) owner_->set_blocked(false);
}

void waiting_read::on_abandoned() {
  if (parked_ != 0) context_.parking().leave(std::exchange(parked_, 0), false);
}

bool waiting_read::client_gone() const {
  return owner_ == nullptr || owner_->peer_gone();
}

}  // namespace dualbus::session
