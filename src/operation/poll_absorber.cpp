#include <dualbus/client/session.hpp>
#include <dualbus/operation/poll_absorber.hpp>

#include <algorithm>
#include <utility>

namespace dualbus::operation {
namespace {

// Every change of a key looks through at most so many delayed polls. The others wait for a millisecond.
constexpr std::size_t most_told = 100;

}  // namespace

poll_absorber::poll_absorber(environment& environment, parking_lot& parking,
                             const stream::key_changes& changes)
    : env_(environment),
      parking_(parking),
      changes_(changes),
      known_(environment.configuration().buses.size()) {
  parking_.set_listener(*this);
}

bool poll_absorber::on() const {
  return env_.configuration().absorb.mode != config::absorb_mode::off;
}

bool poll_absorber::strict() const {
  return env_.configuration().absorb.mode == config::absorb_mode::strict;
}

stream::empty_polls::limits poll_absorber::limits() const {
  const config::absorb_settings& settings = env_.configuration().absorb;
  return {settings.nil_ttl, settings.no_group_ttl};
}

poll_absorber::view poll_absorber::look(std::string_view key, command::bus_index only, bool in_order) {
  return {parking_.watch(key, only, in_order), changes_.on_each(key, env_.buses.count()), env_.turn.now};
}

void poll_absorber::see_again(view& seen, std::string_view key, command::bus_index bus,
                              const stream::parked_reads::sighting& there) const {
  seen.buses[bus] = there;
  seen.changes[bus] = changes_.of(key, bus);
  seen.at = env_.turn.now;
}

stream::bus_set poll_absorber::empty(const poll& p, const view& seen) const {
  return known_.empty(p, seen, limits(), env_.turn.now);
}

bool poll_absorber::no_group(const poll& p, const view& seen) const {
  return known_.no_group(p, seen, limits(), env_.turn.now);
}

void poll_absorber::asked(const poll& p, command::bus_index bus) {
  known_.asked(p, bus, env_.turn.now);
}

void poll_absorber::reached_end(const poll& p, command::bus_index bus, const view& seen) {
  known_.reached_end(p, bus, seen);
}

void poll_absorber::found_no_group(const poll& p, stream::bus_set buses, const view& seen) {
  known_.found_no_group(p, buses, seen);
}

// ------------------------------------------------------------------------------------------- confirmations

void poll_absorber::confirm(spared_poll& who, stream::bus_set buses) {
  confirmation c{&who, std::vector<std::uint64_t>(env_.buses.count(), 0)};
  for (std::size_t bus = 0; bus < c.pings.size(); ++bus) {
    if ((buses >> bus & 1) != 0) {
      c.pings[bus] = parking_.ping(static_cast<command::bus_index>(bus));
    }
  }
  confirmations_.push_back(std::move(c));
  check_confirmations();
}

void poll_absorber::on_pong(command::bus_index bus, std::uint64_t number) {
  for (confirmation& c : confirmations_) {
    if (c.pings[bus] <= number) c.pings[bus] = 0;
  }
  check_confirmations();
}

void poll_absorber::on_watcher_down(command::bus_index bus) {
  // A poll that looks again finds that the bus is not watched, and asks it.
  for (confirmation& c : confirmations_) c.pings[bus] = 0;
  check_confirmations();
}

void poll_absorber::check_confirmations() {
  std::erase_if(confirmations_, [this](const confirmation& c) {
    const bool open = std::any_of(c.pings.begin(), c.pings.end(), [](std::uint64_t n) { return n != 0; });
    if (!open) ready_.push_back({c.who, true});
    return !open;
  });
}

// --------------------------------------------------------------------------------------------------- delays

// A round over all the client's streams brought nothing, and its next poll came right behind an answer.
bool poll_absorber::is_spinning(session& client, const poll& p) const {
  const auto delay = env_.configuration().absorb.delay;
  const client::poll_pace& pace = client.pace();
  const base::time_point last = known_.last_absorbed(p);
  return delay.count() > 0 && last > pace.served && env_.turn.now - pace.absorbed < delay;
}

void poll_absorber::absorbed(session& client, const poll& p) {
  client.pace().absorbed = env_.turn.now;
  ++client.engine().polls_absorbed;
  known_.absorbed(p, env_.turn.now);
}

void poll_absorber::delay(spared_poll& who, const poll& p) {
  if (delayed_.size() < most_told) delayed_.push_back({&who, p.group, p.consumer});
}

void poll_absorber::forget(spared_poll& who) {
  std::erase_if(confirmations_, [&](const confirmation& c) { return c.who == &who; });
  std::erase_if(delayed_, [&](const delayed_poll& d) { return d.who == &who; });
  std::erase_if(ready_, [&](const news& n) { return n.who == &who; });
}

void poll_absorber::on_changed(std::string_view key) {
  std::erase_if(delayed_, [&](const delayed_poll& d) {
    const bool polls = known_.polls({key, d.group, d.consumer});
    if (polls) ready_.push_back({d.who, false});
    return polls;
  });
}

// ------------------------------------------------------------------------------------------------- the turn

// Polls that are told call back, perhaps to wait again.
void poll_absorber::settle() {
  while (!ready_.empty()) {
    const news next = ready_.back();
    ready_.pop_back();
    next.confirmed ? next.who->on_confirmed() : next.who->on_news();
  }
}

void poll_absorber::tick(base::time_point now) {
  if (now < next_clean_up_) return;
  next_clean_up_ = now + limits().nil;
  known_.clean_up(limits(), now);
}

}  // namespace dualbus::operation
