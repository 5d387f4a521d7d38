#pragma once

#include "app/worker_parts.hpp"
#include "fake_bus.hpp"

#include <dualbus/base/clock.hpp>
#include <dualbus/config/loader.hpp>

#include <chrono>
#include <filesystem>
#include <memory>
#include <stdlib.h>
#include <string>
#include <sys/socket.h>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

namespace dualbus::app::test {

/// A directory that goes away with its files.
class scratch_directory {
 public:
  scratch_directory() {
    std::string name = ::testing::TempDir() + "/dualbus-dispatch-XXXXXX";
    path_ = ::mkdtemp(name.data());
  }
  ~scratch_directory() { std::filesystem::remove_all(path_); }
  scratch_directory(const scratch_directory&) = delete;
  scratch_directory& operator=(const scratch_directory&) = delete;
  const std::string& path() const { return path_; }
  /// The beginning of the names of further files.
  std::string next_prefix() { return path_ + "/" + std::to_string(++files_) + "-"; }

 private:
  std::string path_;
  int files_ = 0;
};

/// One directory for all, since each that goes takes milliseconds.
inline scratch_directory& scratch() {
  static scratch_directory one;
  return one;
}

/// The buses a and b; keys that begin with `md:` are pinned to a, and so are the types `tick`. Everything
/// else is b's.
enum class layout { two_buses, plain };

inline std::string configuration_text(layout which, const std::string& prefix) {
  if (which == layout::plain) {
    return "buses:\n  main: {id_slot: 0, endpoint: \"unix:" + prefix +
           "main\"}\n"
           "databases: 2\nflush: allowed\nserver_commands: passed\nabsorb: \"off\"\n";
  }
  return "buses:\n  a: {id_slot: 1, endpoint: \"unix:" + prefix +
         "a\"}\n  b: {id_slot: 2, endpoint: \"unix:" + prefix +
         "b\"}\n"
         "anchor: b\ndatabases: 2\n"
         "routing:\n  field: type\n  default_bus: b\n  types: {a: [tick]}\n"
         "  keys:\n    - {match: \"md:*\", bus: a}\n";
}

/// One worker with its buses and clients, all on the thread of the test, which takes every turn by hand.
class bench {
 public:
  /// A client's end of its connection.
  struct client {
    base::unique_fd fd;
    std::string input;
    bool closed = false;
  };

  /// With users in `more`, `login` is the AUTH of one who may do everything.
  explicit bench(layout which, const std::string& more = "", const std::string& login = "") {
    spdlog::set_level(spdlog::level::off);
    const std::string prefix = scratch().next_prefix();
    const words names = which == layout::plain ? words{"main"} : words{"a", "b"};
    for (const std::string& name : names) buses.push_back(std::make_unique<fake_bus>(name, prefix));
    const config::load_result loaded = config::parse(configuration_text(which, prefix) + more, "test.yaml");
    EXPECT_TRUE(loaded.mistakes.empty()) << ::testing::PrintToString(loaded.mistakes);
    parts_ = std::make_unique<worker_parts>(
        io_, loaded.value, daemon,
        [this](handler::colleagues::question what, handler::colleagues::answers done) {
          questions_.emplace_back(std::move(what), std::move(done));
        });
    parts().begin_turn();
    for (const auto& bus : parts().buses()) bus->start(parts().turn.now);
    parts().end_turn();
    settle();
    use_every_connection(login);
  }

  worker_parts& parts() { return *parts_; }

  std::unique_ptr<client> connect() {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    auto made = std::make_unique<client>();
    made->fd.reset(ends[0]);
    parts().begin_turn();
    parts().door().accept(base::unique_fd(ends[1]), false);
    parts().end_turn();
    return made;
  }

  /// Sends the request, and takes turns until nothing more happens.
  void send(client& from, const words& request) { send_raw(from, encoded(request)); }
  void send_raw(client& from, const std::string& bytes) {
    EXPECT_EQ(::send(from.fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
    settle();
  }
  std::vector<std::string> replies(client& to) {
    char room[65536];
    ssize_t got = 0;
    while ((got = ::recv(to.fd.get(), room, sizeof room, MSG_DONTWAIT)) > 0)
      to.input.append(room, static_cast<std::size_t>(got));
    if (got == 0) to.closed = true;
    return take_values(to.input);
  }
  /// The replies to one request.
  std::vector<std::string> ask(client& from, const std::string& request) {
    send(from, split(request));
    return replies(from);
  }
  /// The only reply to it.
  std::string answer(client& from, const std::string& request) {
    const std::vector<std::string> all = ask(from, request);
    EXPECT_EQ(all.size(), 1U) << request;
    return all.empty() ? "" : all[0];
  }

  void hold_answers(bool on) {
    for (const auto& bus : buses) bus->holding = on;
    if (!on) settle();
  }
  void forget_deliveries() {
    for (const auto& bus : buses) bus->given.clear();
  }
  /// True if any bus has got anything since then.
  bool anything_given() const {
    for (const auto& bus : buses) {
      if (!bus->given.empty()) return true;
    }
    return false;
  }

  /// Takes turns until neither the worker nor a bus has anything to do. A timer that ends within a moment is
  /// waited for.
  void settle() {
    for (int idle = 0; idle < 2;) idle = take_turn(moment) ? 0 : idle + 1;
  }
  /// Waits for the next timer, whenever it ends; then settle().
  void settle_with_timer() {
    take_turn(std::chrono::hours(1));
    settle();
  }
  /// Does what the worker does every few ten milliseconds.
  void tick() {
    parts().begin_turn();
    parts().tick();
    parts().end_turn();
    settle();
  }

  daemon_state daemon;
  std::vector<std::unique_ptr<fake_bus>> buses;

 private:
  static constexpr std::chrono::milliseconds moment{5};

  bool take_turn(base::duration patience) {
    worker_parts& p = parts();
    const auto next = p.turn.timers.next();
    const auto now = base::clock::now();
    const bool soon = next && *next - now < patience;
    p.poller.wait(soon ? *next - now : base::duration::zero());
    p.begin_turn();
    bool busy = p.poller.dispatch() > 0 || soon || p.turn.has_leftover();
    p.turn.timers.run_due(p.turn.now);
    for (auto& [what, done] : std::exchange(questions_, {})) {
      done({what(p.as_colleague())});
      busy = true;
    }
    p.end_turn();
    for (const auto& bus : buses) busy |= bus->serve();
    return busy;
  }

  // From now on a bus sees a new connection only if a client needs one of its own.
  void use_every_connection(const std::string& login) {
    const auto one = connect();
    std::string requests = login.empty() ? "" : encoded(split(login));
    for (const char* request : {"GET k", "GET md:k", "SELECT 1", "GET k", "GET md:k"})
      requests += encoded(split(request));
    send_raw(*one, requests);
    EXPECT_EQ(replies(*one).size(), login.empty() ? 5U : 6U);
    one->fd.reset();
    settle();
    forget_deliveries();
  }

  using question = std::pair<handler::colleagues::question, handler::colleagues::answers>;

  boost::asio::io_context io_{1};
  std::vector<question> questions_;
  std::unique_ptr<worker_parts> parts_;  // goes first
};

}  // namespace dualbus::app::test
