#include "hand_over_giver.hpp"

#include <dualbus/base/log.hpp>
#include <dualbus/client/session_state.hpp>

#include <chrono>
#include <fmt/format.h>
#include <unistd.h>
#include <utility>

namespace dualbus::app {
namespace {

using hand_over::channel;
using hand_over::frame;
using hand_over::kind;
using std::chrono::milliseconds;

// A new process that is silent for so long in the beginning is given up.
constexpr milliseconds greeting_limit{2000}, ready_limit{5000};
// An offer is taken at once, or the client has waited long enough and is served here.
constexpr milliseconds offer_limit{120};
// Behind that no client is offered for a while: all are served.
constexpr milliseconds rest{400};
// So many offers are out at the same time.
constexpr std::size_t most_offered = 64;
// A process that takes no client for so long, though some are offered, hangs.
constexpr milliseconds progress_limit{3000};
// Clients that still cannot go when all transactions have lost what they watch are ended by this process.
constexpr milliseconds last_round{1000};
// Subscribers are served meanwhile.
constexpr milliseconds hear_limit{2000};
constexpr milliseconds end_limit{10'000};
constexpr milliseconds pause{1};

void put(std::string& out, std::uint64_t value) {
  for (int i = 0; i < 8; ++i) out.push_back(static_cast<char>(value >> (8 * i) & 0xff));
}

double seconds_since(base::time_point begun) {
  return std::chrono::duration<double>(base::clock::now() - begun).count();
}

}  // namespace

hand_over_giver::outcome hand_over_giver::run() {
  const auto begun = base::clock::now();
  std::string refusal;
  if (!greet(refusal)) {
    taker_.send_line("refused " + refusal + "\n");
    return {.text = "a take-over was refused: " + refusal};
  }
  daemon_.accept_clients(false);
  std::string fault;
  {
    ownership_board board;
    if (!give_listeners(board)) fault = taker() + " is not ready: " + taker_.problem();
    if (fault.empty() && !give_subscriptions()) fault = taker() + " has ended: " + taker_.problem();
    if (fault.empty()) fault = give_clients(board);
    if (fault.empty()) fault = finish(board);
    if (!fault.empty()) {
      board.call_off();
      withdraw(board, base::time_point::max());
    }
  }
  if (fault.empty()) return {.given = true, .text = summary(begun)};
  daemon_.call_off();
  daemon_.accept_clients(true);
  const bool own = taker_.is_own_process();
  return {.failed = true,
          .text = fmt::format("hand-over failed: {}: {}; {} clients had gone to the new {}", fault,
                              own ? "the workers before go on" : "this process goes on", given_,
                              own ? "ones" : "one")};
}

bool hand_over_giver::greet(std::string& refusal) {
  std::string line;
  if (!taker_.is_same_user()) {
    refusal = "the other process has another user: run it as the user of this one";
    return false;
  }
  if (taker_.receive_line(line, greeting_limit) != channel::result::done) {
    refusal = "it does not say what it wants: 'dualbusd --take-over' does";
    return false;
  }
  const auto other = hand_over::parse_greeting("dualbus take-over", line);
  if (!other) {
    refusal = "it does not say what it wants: 'dualbusd --take-over' does";
    return false;
  }
  if (other->protocol < hand_over::protocol_version || other->state < client::session_state::version) {
    refusal = fmt::format(
        "dualbusd {} is older than this one, and cannot know all that is handed over: restart to go "
        "back to it",
        base::in_log(other->daemon, 40));
    return false;
  }
  if (!taker_.is_own_process())
    spdlog::info("dualbusd {} (process {}) takes over", base::in_log(other->daemon, 40),
                 taker_.peer_process());
  return taker_.send_line(hand_over::greeting_line("welcome"));
}

bool hand_over_giver::give_listeners(ownership_board& board) {
  std::string numbers;
  const hand_over_source::numbers last = daemon_.last_numbers();
  put(numbers, last.last_client_id);
  put(numbers, last.last_slow_id);
  if (!taker_.send(kind::board, 0, numbers, board.fd())) return false;
  for (const hand_over_source::listener& l : daemon_.listeners()) {
    if (!taker_.send(kind::listener, static_cast<std::uint32_t>(l.what), {}, l.fd)) return false;
  }
  frame answer;
  return taker_.send(kind::listeners_end) && taker_.receive(answer, ready_limit) == channel::result::done &&
         answer.what == kind::ready;
}

// The taker hears everything before the first subscriber comes. If its buses take too long for that,
// subscribers go all the same, later than the others.
bool hand_over_giver::give_subscriptions() {
  static std::atomic<unsigned> number{0};
  const std::string channel =
      fmt::format("dualbus:hand-over:{}:{}:{}", ::getpid(), taker_.peer_process(), number.fetch_add(1));
  const auto requests = daemon_.prepare_subscribers(channel);
  std::uint32_t asked = 0;
  for (std::size_t worker = 0; worker < requests.size(); ++worker) {
    if (requests[worker].empty()) continue;
    if (!taker_.send(kind::hear, static_cast<std::uint32_t>(worker),
                     hand_over::pack_requests(channel, requests[worker])))
      return false;
    ++asked;
  }
  const auto begun = base::clock::now();
  frame answer;
  while (asked > 0 && base::clock::now() - begun < hear_limit) {
    const channel::result got = taker_.receive(answer, milliseconds(100));
    if (got == channel::result::ended) return false;
    if (got == channel::result::done && answer.what == kind::heard) --asked;
  }
  return true;
}

std::string hand_over_giver::give_clients(ownership_board& board) {
  const auto begun = base::clock::now();
  for (;;) {
    const auto now = base::clock::now();
    if (stop_) return "this process was told to stop";
    const auto limit = daemon_.hand_over_timeout();
    const bool forced = now - begun >= limit;
    bool idle = true;
    if (offered_.size() < most_offered && now >= offer_again_) {
      hand_over_source::round round = daemon_.take_departed(forced);
      left_ = round.left;
      idle = round.ready.empty();
      bool there = true;
      for (hand_over_source::departed& each : round.ready) {
        // They have left their workers: those that cannot be offered any more go back.
        there ? static_cast<void>(there = offer(board, std::move(each)))
              : daemon_.take_back(std::move(each), false);
      }
      if (!there) return taker() + " has ended: " + taker_.problem();
    }
    if (offered_.empty() && (left_ == 0 || now - begun >= limit + last_round)) return {};
    do {
      if (!hear(board, idle || offered_.size() >= most_offered ? pause : milliseconds(0)))
        return taker() + " has ended: " + taker_.problem();
    } while (taker_.wait({}));
    withdraw(board, base::clock::now() - offer_limit);
    if (unanswered_since_ && base::clock::now() - *unanswered_since_ > progress_limit)
      return taker() + " takes no clients";
  }
}

bool hand_over_giver::offer(ownership_board& board, hand_over_source::departed client) {
  const std::string state = client::encode(client.client.state);
  const int fd = client.client.fd.get();
  const std::uint32_t number = next_++;
  if (!unanswered_since_) unanswered_since_ = base::clock::now();
  offered_.emplace(number, offered{std::move(client), base::clock::now()});
  if (number >= ownership_board::offers) return false;
  board.offer(number);
  return taker_.send(kind::offer, number, state, fd);
}

bool hand_over_giver::hear(ownership_board& board, base::duration wait) {
  frame answer;
  switch (taker_.receive(answer, wait)) {
    case channel::result::nothing:
      return true;
    case channel::result::ended:
      return false;
    case channel::result::done:
      break;
  }
  if (answer.what != kind::taken && answer.what != kind::refused) return true;
  const auto found = offered_.find(answer.number);
  if (found == offered_.end()) return true;  // it was taken back meanwhile
  const bool kept = board.keep(answer.number);
  offered client = std::move(found->second);
  offered_.erase(found);
  unanswered_since_.reset();
  if (!kept) {
    const client::session_state& state = client.client.client.state;
    ++given_;
    if (state.in_transaction) ++transactions_;
    if (!state.subscriptions.empty()) ++subscribers_;
    return true;
  }
  ++refused_;
  ++left_;
  spdlog::warn("client {} stays: {} refuses it: {}", client.client.client.state.id, taker(),
               base::in_log(answer.bytes, 200));
  daemon_.take_back(std::move(client.client), true);
  return true;
}

// Those that the board gives to the other process belong there, even if it could not say so any more.
void hand_over_giver::withdraw(ownership_board& board, base::time_point before) {
  for (auto each = offered_.begin(); each != offered_.end();) {
    const bool keep = each->second.since <= before && board.keep(each->first);
    if (keep) {
      ++returned_;
      ++left_;
      offer_again_ = base::clock::now() + rest;
      daemon_.take_back(std::move(each->second.client), false);
    }
    const bool over = keep || before == base::time_point::max();
    if (over && !keep) ++given_;
    each = over ? offered_.erase(each) : std::next(each);
  }
}

std::string hand_over_giver::finish(ownership_board& board) {
  board.complete();
  frame answer;
  if (!taker_.send(kind::done)) return taker() + " has ended: " + taker_.problem();
  const auto begun = base::clock::now();
  while (base::clock::now() - begun < end_limit) {
    switch (taker_.receive(answer, milliseconds(100))) {
      case channel::result::done:
        if (answer.what == kind::end) return {};
        break;
      case channel::result::ended:
        return taker() + " has ended: " + taker_.problem();
      case channel::result::nothing:
        break;
    }
  }
  return taker() + " does not confirm the end";
}

std::string hand_over_giver::taker() const {
  return taker_.is_own_process() ? "the group of new workers" : "the new process";
}

std::string hand_over_giver::summary(base::time_point begun) const {
  return fmt::format(
      "handed over to {} in {:.3f} s: {} clients ({} subscribers, {} transactions); {} offers taken "
      "back, {} "
      "refused, {} clients are left and end here",
      taker_.is_own_process() ? "new workers" : fmt::format("process {}", taker_.peer_process()),
      seconds_since(begun), given_, subscribers_, transactions_, returned_, refused_, left_);
}

}  // namespace dualbus::app
