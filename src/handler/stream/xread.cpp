#include "stream_commands.hpp"
#include "xreadgroup.hpp"

#include <dualbus/base/numbers.hpp>
#include <dualbus/client/session.hpp>
#include <dualbus/operation/waiting_read.hpp>
#include <dualbus/resp/reply_reader.hpp>
#include <dualbus/stream/bounds.hpp>
#include <dualbus/stream/stable_read.hpp>

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

namespace dualbus::handler {
namespace {

using command::bus_index;
using position = stream::read_request::position;

constexpr std::uint64_t max_number = std::numeric_limits<std::uint64_t>::max();

/// XREAD: reads all buses of all keys in one round, which is repeated until nothing can turn up any more
/// below the entries found (stream/stable_read.hpp).
class read_operation final : public waiting_read {
 public:
  read_operation(stream_environment& environment, session& owner, routed_request& request,
                 stream::read_request read)
      : waiting_read(environment, owner, request, std::move(read)), cursors_(keys_.size()) {
    take_cursors(owner);
  }

 protected:
  base::task<> run() override;
  bool take_reply(std::uint32_t index, std::string_view reply) override;
  void pack_positions(client::packed_wait& out) const override;

 private:
  struct ask {
    std::size_t key;
    bus_index bus;
    bool time;  // asks for the bus's time, not for a key
  };
  enum class outcome : std::uint8_t {
    found,
    nothing,
    held,   // there are entries that cannot be shown yet
    failed  // error_ says why
  };

  base::task<bool> set_cursors();
  base::task<outcome> read();
  base::task<outcome> read_once(stream::stable_read& stable);
  base::task<> wait(const std::vector<parking_lot::sightings>& seen);
  bool set_cursor(std::size_t key, const part& answer);
  void send_asks();
  void drop_found();
  void take_cursors(const session& owner);

  std::vector<std::vector<std::string>> cursors_;  // by key and bus: read the entries behind this
  std::vector<ask> asked_;                         // by part of the present round
  std::size_t omitted_ = 0;                        // entries of a key without a client form, seen so far
  bool reading_ = false;
  std::chrono::milliseconds wait_{};  // until the next round
  std::optional<part> error_;
};

base::task<> read_operation::run() {
  if (!request_.error.empty()) {
    answer_refusal(request_.error);
    co_return;
  }
  std::vector<parking_lot::sightings> seen(keys_.size());
  if (may_wait()) {
    for (std::size_t i = 0; i < keys_.size(); ++i) seen[i] = streams_.parking.look(keys_[i].name, false);
  }
  const bool ready = co_await set_cursors();
  if (!ready) {
    answer_error(*error_);
    co_return;
  }
  const outcome first = co_await read();
  const bool lost = first == outcome::failed && error_->failed == backend::failure::bus_lost && may_wait();
  if (lost) {
    // No entry was taken: it is read again when the bus is back.
    co_await wait(std::vector<parking_lot::sightings>(keys_.size()));
  } else if (first == outcome::failed) {
    answer_error(*error_);
  } else if (first == outcome::found || !may_wait()) {
    answer_entries();
  } else {
    // Entries that are held back are not the same as no entries.
    if (first == outcome::held) seen.assign(keys_.size(), {});
    co_await wait(seen);
  }
}

base::task<> read_operation::wait(const std::vector<parking_lot::sightings>& seen) {
  bool waits = park(std::nullopt, seen, deadline());
  for (;;) {
    if (waits) co_await suspend();
    if (last_event() != event::wake) {
      answer_event();
      co_return;
    }
    if (client_gone()) {
      waits = stay(targets());
      continue;
    }
    const outcome now = co_await read();
    if (now == outcome::found || owner_ == nullptr) {
      leave(owner_ != nullptr);
      answer_entries();
      co_return;
    }
    // As in Redis, a key that is no stream any more ends no wait.
    if (now == outcome::failed && (error_->failed || is_unavailable(error_->reply))) {
      waits = stay(targets());
    } else if (now == outcome::held) {
      waits = stay({}, env_.turn.now + stream::stable_read::hold_max);
    } else {
      waits = stay({});
    }
  }
}

// ------------------------------------------------------------------------------------------------- cursors

// `$` means now, on every bus, whatever its clock says.
base::task<bool> read_operation::set_cursors() {
  std::vector<std::size_t> asked;  // the key of each part
  for (std::size_t i = 0; i < keys_.size(); ++i) {
    const stream::read_request::key& key = request_.keys[i];
    cursors_[i].resize(env_.buses.count());
    for (std::size_t b = 0; b < env_.buses.count(); ++b) {
      const auto bus = static_cast<bus_index>(b);
      if (!has(keys_[i], bus) || !cursors_[i][b].empty()) continue;
      if (key.from == position::newest && one_round_) {
        cursors_[i][b] = "$";  // nothing can come in between
      } else if (key.from == position::newest) {
        const std::string_view info[] = {"XINFO", "STREAM", key.name};
        send(bus, info);
        asked.push_back(i);
      } else if (key.from == position::last) {
        const std::string_view newest[] = {"XREVRANGE", key.name, "+", "-", "COUNT", "1"};
        send(bus, newest);
        asked.push_back(i);
      } else {
        cursors_[i][b] = is_whole(keys_[i])
                             ? stream::to_string(key.id)
                             : stream::to_string(stream::after_on(env_.buses.slot_of(bus), key.id));
      }
    }
  }
  const parts all = co_await round();
  for (std::size_t j = 0; j < all.size(); ++j) {
    const bool no_key = all[j].reply.starts_with("-ERR no such key");
    if (all[j].is_error() && !no_key) {
      error_ = all[j];
      co_return false;
    }
    if (!set_cursor(asked[j], all[j])) {
      error_ = all[j];
      error_->reply = "-" + nonsense_text("bus '" + env_.buses.name(all[j].bus) + "'") + "\r\n";
      co_return false;
    }
  }
  // `+` is the last entry of all buses: on its bus everything behind the entry before it is read, elsewhere
  // nothing.
  for (std::size_t i = 0; i < keys_.size(); ++i) {
    if (request_.keys[i].from != position::last) continue;
    std::optional<stream::client_id> last;
    std::size_t owner = 0;
    for (std::size_t b = 0; b < env_.buses.count(); ++b) {
      const auto id = stream::parse_id(cursors_[i][b], 0);
      if (!id) continue;
      const stream::client_id shown =
          is_whole(keys_[i])
              ? stream::client_id{id->ms, id->seq}
              : stream::position_to_client({id->ms, id->seq}, env_.buses.slot_of(static_cast<bus_index>(b)));
      if (last && shown < *last) continue;
      last = shown;
      owner = b;
    }
    for (std::size_t b = 0; b < env_.buses.count(); ++b) {
      const auto id = stream::parse_id(cursors_[i][b], 0);
      if (!id) cursors_[i][b] = "0-0";
      if (!id || b != owner) continue;
      const bool whole_ms = id->seq == 0;
      cursors_[i][b] =
          stream::to_string(stream::bus_id{id->ms - (whole_ms ? 1 : 0), whole_ms ? max_number : id->seq - 1});
    }
  }
  co_return true;
}

// `$` and `+` have become places on each bus, which no ID of a client can name.
void read_operation::pack_positions(client::packed_wait& out) const {
  for (std::size_t i = 0; i < keys_.size(); ++i) {
    const stream::read_request::key& key = request_.keys[i];
    out.words.push_back(key.from == position::after ? stream::to_string(key.id) : "$");
    for (std::size_t b = 0; b < cursors_[i].size(); ++b) {
      if (cursors_[i][b].empty()) continue;
      out.cursors.push_back(
          {static_cast<std::uint32_t>(i), env_.buses.name(static_cast<bus_index>(b)), cursors_[i][b]});
    }
  }
}

// A wait that goes on here goes on where it was. A bus that is new since then is looked at as by a new
// request.
void read_operation::take_cursors(const session& owner) {
  for (const client::read_cursor& cursor : owner.arrived_cursors()) {
    for (std::size_t b = 0; cursor.key < keys_.size() && b < env_.buses.count(); ++b) {
      const auto bus = static_cast<bus_index>(b);
      if (env_.buses.name(bus) != cursor.bus || !has(keys_[cursor.key], bus)) continue;
      cursors_[cursor.key].resize(env_.buses.count());
      if (stream::parse_id(cursor.id, 0)) cursors_[cursor.key][b] = cursor.id;
    }
  }
}

// False if Redis gives no such reply.
bool read_operation::set_cursor(std::size_t key, const part& answer) {
  std::string& cursor = cursors_[key][answer.bus];
  resp::reply_reader reader(answer.reply);
  const resp::reply_value head = reader.next();
  if (request_.keys[key].from == position::last) {
    if (answer.is_error() || head.elements == 0) return answer.is_error() || head.type == '*';
    reader.next();
    cursor = reader.next().text;
    return stream::parse_id(cursor, 0).has_value();
  }
  cursor = "0-0";
  if (answer.is_error()) return true;
  bool found = false;
  const std::size_t values = head.type == '%' ? 2 * head.elements : head.elements;
  for (std::size_t i = 0; i + 1 < values; i += 2) {
    const std::string_view name = reader.next().text;
    resp::reply_reader value(reader.skip());
    if (name != "last-generated-id") continue;
    cursor = value.next().text;
    found = stream::parse_id(cursor, 0).has_value();
  }
  return found;
}

// -------------------------------------------------------------------------------------------------- reading

base::task<read_operation::outcome> read_operation::read() {
  stream::stable_read stable(env_.turn.now);
  for (;;) {
    const outcome once = co_await read_once(stable);
    if (once != outcome::held || stable.gave_up() || one_round_) co_return once;
    co_await pause(wait_);
  }
}

void read_operation::send_asks() {
  asked_.clear();
  for (std::size_t b = 0; b < env_.buses.count(); ++b) {
    const auto bus = static_cast<bus_index>(b);
    bool timed = false;
    for (std::size_t i = 0; i < keys_.size(); ++i) {
      if (!has(keys_[i], bus)) continue;
      if (!is_whole(keys_[i]) && env_.buses.count() > 1 && !timed) {
        const std::string_view time[] = {"TIME"};
        asked_.push_back({i, bus, true});
        send(bus, time);
        timed = true;
      }
      std::vector<std::string_view> args = {"XREAD"};
      const std::string limit = std::to_string(request_.count + omitted_);
      if (request_.count != 0) args.insert(args.end(), {"COUNT", limit});
      args.insert(args.end(), {"STREAMS", keys_[i].name, cursors_[i][b]});
      asked_.push_back({i, bus, false});
      send(bus, args);
    }
  }
}

bool read_operation::take_reply(std::uint32_t index, std::string_view reply) {
  if (!reading_ || asked_[index].time) return false;
  add_entries(keys_[asked_[index].key], asked_[index].bus, reply);
  return true;
}

base::task<read_operation::outcome> read_operation::read_once(stream::stable_read& stable) {
  drop_found();
  error_.reset();
  reading_ = true;
  send_asks();
  const parts all = co_await round();
  reading_ = false;
  // A bus has counted the entries that are left out: it is asked for as many more.
  std::size_t omitted = 0;
  for (const key_read& key : keys_) omitted = std::max(omitted, key.found.omitted());
  if (request_.count != 0 && omitted > omitted_ && !one_round_) {
    omitted_ = omitted;
    wait_ = {};
    co_return outcome::held;
  }
  std::uint64_t horizon = max_number, newest = 0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i].is_error()) {
      if (!error_) error_ = all[i];
    } else if (asked_[i].time) {
      const std::uint64_t clock = stream::milliseconds_of_time(all[i].reply);
      horizon = std::min(horizon, clock);
      newest = std::max(newest, clock);
    }
  }
  if (error_) {
    drop_found();
    co_return outcome::failed;
  }
  std::optional<std::uint64_t> latest;
  for (key_read& key : keys_) {
    if (is_whole(key)) continue;
    // Only entries that would be answered matter.
    if (key.found.cut(request_.count) == 0) continue;
    latest = std::max(latest.value_or(0), key.found.last_chosen().ms);
  }
  std::optional<stream::client_id> last;
  if (one_round_) {
    // This read does not wait for entries that might still turn up below: they are left to the next read.
    if (latest && *latest >= horizon && horizon > 0) last = stream::client_id{horizon - 1, max_number};
  } else if (env_.buses.count() > 1) {
    const auto decision = stable.judge(horizon, latest, env_.turn.now, newest);
    if (!decision.reply) {
      wait_ = decision.wait;
      co_return outcome::held;
    }
    if (stable.gave_up()) ++env_.metrics.unstable_reads;
    if (stable.limit_ms() && horizon > 0) last = stream::client_id{horizon - 1, max_number};
  }
  bool found = false, held = false;
  for (key_read& key : keys_) {
    const bool any = !key.found.empty();
    key.chosen = key.found.cut(request_.count, is_whole(key) ? std::nullopt : last);
    found |= key.chosen > 0;
    held |= any && key.chosen == 0;
  }
  if (found) co_return outcome::found;
  co_return held ? outcome::held : outcome::nothing;
}

void read_operation::drop_found() {
  for (key_read& key : keys_) {
    key.found = stream::entry_merge(env_.chunks);
    key.chosen = 0;
  }
}

void start_parsed(stream_services& services, session& client, routed_request& request,
                  stream::read_request parsed) {
  if (parsed.group) {
    return (new group_read_operation(services, client, request, std::move(parsed)))->start();
  }
  (new read_operation(services, client, request, std::move(parsed)))->start();
}

}  // namespace

void start_read(stream_services& services, session& client, routed_request& request) {
  stream::read_request parsed = stream::parse_read(command::command_table()[request.command], request.args);
  if (!parsed.unsupported.empty()) {
    return client.refuse(request, "ERR dualbus: option '" + std::string(parsed.unsupported) +
                                      "' not supported on logical stream '" +
                                      std::string(parsed.keys.empty() ? "" : parsed.keys[0].name) + "'");
  }
  start_parsed(services, client, request, std::move(parsed));
}

bool start_parked_read(stream_services& services, session& client, routed_request& request) {
  stream::read_request parsed = stream::parse_read(command::command_table()[request.command], request.args);
  if (!parsed.error.empty() || !parsed.unsupported.empty()) return false;
  start_parsed(services, client, request, std::move(parsed));
  return true;
}

bool start_whole_read(stream_services& services, session& client, routed_request& request) {
  const bool of_group = command::command_table()[request.command].has(command::fact::reads_group);
  const bool matters = services.polls.on() || services.configuration().missing_group.creates();
  if (!of_group || !matters) return false;
  stream::read_request parsed = stream::parse_read(command::command_table()[request.command], request.args);
  const bool fresh = std::all_of(parsed.keys.begin(), parsed.keys.end(), [](const auto& key) {
    return key.from == stream::read_request::position::fresh;
  });
  if (!parsed.error.empty() || !parsed.unsupported.empty() || !fresh) return false;
  (new group_read_operation(services, client, request, std::move(parsed)))->start();
  return true;
}

}  // namespace dualbus::handler
