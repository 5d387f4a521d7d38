#include <dualbus/client/departures.hpp>

#include <algorithm>
#include <chrono>
#include <utility>

namespace dualbus::client {
namespace {

// So many clients are not read at the same time, and leave in one turn: a turn stays short.
constexpr std::size_t most_leaving = 32;
// A client that is owed something for longer is read again.
constexpr std::chrono::milliseconds patience{60};

}  // namespace

void departures::begin_round() {
  struct candidate {
    base::time_point waiting;
    std::uint64_t id;
  };
  std::vector<candidate> all;
  clients_.for_each([&](const session& client) {
    if (!kept_.contains(client.id()))
      all.push_back({client.waiting_since().value_or(base::time_point::min()), client.id()});
  });
  std::sort(all.begin(), all.end(), [](const candidate& a, const candidate& b) {
    return a.waiting != b.waiting ? a.waiting > b.waiting : a.id > b.id;
  });
  round_.clear();
  for (const candidate& each : all) round_.push_back(each.id);
}

std::vector<session::departed> departures::take(bool forced) {
  if (round_.empty() && leaving_.empty()) begin_round();
  while (!round_.empty() && leaving_.size() < most_leaving) {
    const std::uint64_t id = round_.back();
    round_.pop_back();
    session* const client = clients_.find(id);
    if (client == nullptr) continue;
    if (client->monitoring()) {  // it would not see what the other process carries out
      client->close_after_replies(metrics::close_reason::shutdown);
      continue;
    }
    const open_transaction* const transaction = client->current_transaction();
    if (!forced && transaction != nullptr && transaction->watches()) continue;  // its EXEC is soon to come
    client->prepare_to_go();
    leaving_.push_back({id, turn_.now});
  }
  std::vector<session::departed> ready;
  std::erase_if(leaving_, [&](const leaving& each) {
    if (session* const client = clients_.find(each.id); client != nullptr && forced) client->lose_watch();
    return settle(each, forced, ready);
  });
  gate_.end_of_take();
  return ready;
}

bool departures::settle(const leaving& each, bool forced, std::vector<session::departed>& ready) {
  using verdict = departure_gate::verdict;
  session* const client = clients_.find(each.id);
  if (client == nullptr) {
    gate_.forget(each.id);
    return true;
  }
  const bool asks = client->subscribed() && client->can_go();
  const verdict decided = asks ? gate_.may_depart(*client) : verdict::now;
  if (decided == verdict::engaged) return false;
  if (decided == verdict::now) {
    if (auto departed = client->depart()) {
      if (asks) departed->state.round = gate_.round();
      gate_.forget(each.id);
      ready.push_back(std::move(*departed));
      return true;
    }
  }
  if (turn_.now - each.since < patience) return false;
  gate_.forget(each.id);
  // A wait that cannot begin anew elsewhere ends as if its time were over.
  if (forced) client->unblock(false);
  client->stay();
  return true;
}

void departures::call_off() {
  round_.clear();
  for (const leaving& each : std::exchange(leaving_, {})) {
    gate_.forget(each.id);
    if (session* const client = clients_.find(each.id)) client->stay();
  }
  kept_.clear();
}

}  // namespace dualbus::client
