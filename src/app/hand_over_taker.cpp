#include "hand_over_taker.hpp"

#include "quiet_thread.hpp"

#include <dualbus/base/log.hpp>
#include <dualbus/base/socket.hpp>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <fmt/format.h>
#include <stdexcept>
#include <string_view>
#include <utility>
#include <variant>

namespace dualbus::app {
namespace {

using hand_over::channel;
using hand_over::frame;
using hand_over::kind;
using std::chrono::milliseconds;

// Longer than the running daemon may wait for a slow worker.
constexpr milliseconds answer_limit{10'000};
constexpr milliseconds look_again{100};

base::unique_fd connect_to(const std::string& path) {
  base::unique_fd fd = base::start_connect_unix(path);
  const int error = fd ? base::connect_error(fd.get()) : errno;
  if (fd && error == 0) return fd;
  throw std::runtime_error(
      fmt::format("cannot take over at '{}': {}: nobody listens there; --take-over needs 'control.socket' of "
                  "the running daemon",
                  path, std::strerror(error)));
}

std::uint64_t number_at(std::string_view bytes, std::size_t at) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < 8 && at + i < bytes.size(); ++i)
    value |= std::uint64_t{static_cast<unsigned char>(bytes[at + i])} << (8 * i);
  return value;
}

}  // namespace

hand_over_taker::hand_over_taker(const std::string& control_socket)
    : place_("at '" + control_socket + "'"), giver_(connect_to(control_socket)) {
  greet();
}

hand_over_taker::hand_over_taker(base::unique_fd giver)
    : place_("in this process"), giver_(std::move(giver)) {
  greet();
}

void hand_over_taker::greet() {
  if (!giver_.is_same_user()) fail("that daemon has another user: run this one as the same user");
  std::string line;
  // A refusal may be there already, and its reason counts more than what cannot be sent.
  giver_.send_line(hand_over::greeting_line("dualbus take-over"));
  if (giver_.receive_line(line, answer_limit) != channel::result::done)
    fail("the running daemon does not answer");
  constexpr std::string_view refused = "refused ";
  if (line.starts_with(refused)) fail(base::in_log(std::string_view(line).substr(refused.size())));
  const auto other = hand_over::parse_greeting("welcome", line);
  if (!other) fail("what listens there is no dualbusd");
  if (other->protocol > hand_over::protocol_version || other->state > client::session_state::version)
    fail("that dualbusd, " + base::in_log(other->daemon) + ", is newer than this one: restart to go back");
  if (giver_.is_own_process()) return;
  spdlog::info("taking over from dualbusd {} (process {})", base::in_log(other->daemon),
               giver_.peer_process());
}

hand_over_taker::~hand_over_taker() {
  stop();
}

void hand_over_taker::fail(const std::string& why) const {
  throw std::runtime_error(fmt::format("cannot take over {}: {}", place_, why));
}

hand_over_taker::inheritance hand_over_taker::receive_listeners() {
  inheritance result;
  for (;;) {
    frame next;
    if (giver_.receive(next, answer_limit) != channel::result::done)
      fail("the running daemon gives no listeners: " + giver_.problem());
    switch (next.what) {
      case kind::board:
        board_ = std::make_unique<ownership_board>(std::move(next.fd));
        result.last_client_id = number_at(next.bytes, 0);
        result.last_slow_id = number_at(next.bytes, 8);
        break;
      case kind::listener:
        result.listeners.push_back({static_cast<hand_over::listener_kind>(next.number), std::move(next.fd)});
        break;
      case kind::listeners_end:
        if (!board_) fail("the running daemon gives no memory for the hand-over");
        return result;
      default:
        fail("the running daemon speaks another language");
    }
  }
}

void hand_over_taker::start(hand_over_target& daemon) {
  begun_ = base::clock::now();
  giver_.send(kind::ready);
  thread_ = start_quiet_thread([this, &daemon] { run(daemon); });
}

void hand_over_taker::stop() {
  stopping_ = true;
  if (thread_.joinable()) thread_.join();
}

void hand_over_taker::run(hand_over_target& daemon) {
  const auto seconds = [this] { return std::chrono::duration<double>(base::clock::now() - begun_).count(); };
  const bool own = giver_.is_own_process();
  while (!stopping_) {
    frame next;
    const channel::result got = giver_.receive(next, look_again);
    if (got == channel::result::nothing) continue;
    if (got == channel::result::ended) {
      giver_.close();
      if (!board_->adopt_orphans())
        return daemon.give_up(fmt::format("{} called the hand-over off, and {} on; {} clients had come",
                                          own ? "the workers before have" : "the other daemon has",
                                          own ? "serve" : "serves", taken_));
      spdlog::warn(
          "took over {} clients in {:.3f} s; then the other daemon ended ({}), with the clients that it had "
          "left",
          taken_, seconds(), giver_.problem());
      return daemon.become_daemon(true);
    }
    if (next.what == kind::offer) {
      take(daemon, std::move(next));
    } else if (next.what == kind::hear) {
      if (auto what = hand_over::unpack_requests(next.bytes)) daemon.hear(next.number, std::move(*what));
      giver_.send(kind::heard, next.number);
    } else if (next.what == kind::done) {
      if (!own) spdlog::info("took over {} clients in {:.3f} s", taken_, seconds());
      daemon.become_daemon(false);
      giver_.send(kind::end);
      return;
    }
  }
}

void hand_over_taker::take(hand_over_target& daemon, frame offer) {
  auto decoded = client::decode(offer.bytes);
  auto* const state = std::get_if<client::session_state>(&decoded);
  const std::string fault = state != nullptr ? daemon.fault_of(*state) : std::get<std::string>(decoded);
  if (!fault.empty() || !offer.fd) {
    giver_.send(kind::refused, offer.number, fault);
    return;
  }
  if (!board_->take(offer.number)) return;  // the giver has taken it back
  ++taken_;
  daemon.take_client(std::move(offer.fd), std::move(*state));
  giver_.send(kind::taken, offer.number);
}

}  // namespace dualbus::app
