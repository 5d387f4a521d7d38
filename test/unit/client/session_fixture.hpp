#pragma once

#include "stub_handler.hpp"

#include <dualbus/base/poller.hpp>
#include <dualbus/base/unique_fd.hpp>
#include <dualbus/client/client_directory.hpp>
#include <dualbus/client/door.hpp>
#include <dualbus/client/session.hpp>
#include <dualbus/client/session_environment.hpp>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dualbus::client::test {

/// The client's end of a connection.
class remote {
 public:
  remote(base::unique_fd fd, std::uint64_t client) : id(client), fd_(std::move(fd)) {}

  /// As much of `bytes` as the socket takes; returns how much that is.
  std::size_t send_some(std::string_view bytes) const {
    const ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    return sent < 0 ? 0 : static_cast<std::size_t>(sent);
  }
  void send(std::string_view bytes) const { ASSERT_EQ(send_some(bytes), bytes.size()); }
  /// Everything that has come since the last call, at most `most` bytes.
  std::string receive(std::size_t most = ~std::size_t{0}) {
    std::string all;
    char room[16384];
    while (all.size() < most) {
      const ssize_t got = ::recv(fd_.get(), room, std::min(sizeof room, most - all.size()), 0);
      if (got <= 0) {
        ended_ |= got == 0;
        break;
      }
      all.append(room, static_cast<std::size_t>(got));
    }
    return all;
  }
  /// The end of file has come, and nothing is left before it.
  bool at_end() {
    char byte;
    ended_ |= ::recv(fd_.get(), &byte, 1, MSG_PEEK) == 0;
    return ended_;
  }
  void end_sending() const { ::shutdown(fd_.get(), SHUT_WR); }
  /// The connection is reset if something was not received.
  void close() { fd_.reset(); }
  int fd() const { return fd_.get(); }

  const std::uint64_t id;

 private:
  base::unique_fd fd_;
  bool ended_ = false;
};

inline std::string bulk(std::string_view text) {
  return "$" + std::to_string(text.size()) + "\r\n" + std::string(text) + "\r\n";
}
/// A request as clients write it.
inline std::string request_of(const std::vector<std::string_view>& words) {
  std::string all = "*" + std::to_string(words.size()) + "\r\n";
  for (const std::string_view word : words) all += bulk(word);
  return all;
}
inline std::string repeat(std::string_view text, std::size_t times) {
  std::string all;
  all.reserve(text.size() * times);
  for (std::size_t i = 0; i < times; ++i) all += text;
  return all;
}

/// While it lives, the process gets 4 MiB more from the kernel and no more: small allocations succeed,
/// however little the heap had left, and large ones fail.
class no_more_memory {
 public:
  no_more_memory() {
    std::size_t pages = 0;  // the first number of statm is the size of the address space
    std::ifstream("/proc/self/statm") >> pages;
    ::getrlimit(RLIMIT_AS, &before_);
    const rlimit little{pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)) + (std::size_t{4} << 20),
                        before_.rlim_max};
    ::setrlimit(RLIMIT_AS, &little);
  }
  ~no_more_memory() { ::setrlimit(RLIMIT_AS, &before_); }
  no_more_memory(const no_more_memory&) = delete;
  no_more_memory& operator=(const no_more_memory&) = delete;

  /// Sanitizers end a program that runs out of memory.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  static constexpr bool can_be_tested = false;
#else
  static constexpr bool can_be_tested = true;
#endif

 private:
  rlimit before_{};
};

inline config::user_settings user_called(std::string name, std::vector<std::string> commands = {"+@all"}) {
  config::user_settings made;
  made.name = std::move(name);
  made.commands = std::move(commands);
  made.keys = made.channels = {"*"};
  return made;
}

/// One worker without buses: real parts around a stub that stands for the commands. A turn is as in
/// app::worker_parts.
class SessionTest : public testing::Test, private memory_guard::holder {
 protected:
  SessionTest() {
    metrics.buses.resize(2);
    bus_settings.resize(2);
    input.set_max_request(limits.max_request);
    turn.begin();  // sessions are made inside a turn
    turn.now = now_;
  }
  ~SessionTest() override = default;

  /// Nothing is left of anybody, however the test went.
  void TearDown() override {
    for (session* const each : clients.all()) each->close(metrics::close_reason::shutdown);
    while (!handler.running.empty()) handler.running.begin()->second->end_alone();
    run_turn();
    EXPECT_EQ(clients.size(), 0U);
    EXPECT_EQ(local_replies.in_use(), 0U);
    EXPECT_EQ(chunks.used_bytes(), 0U);
    EXPECT_EQ(memory.used_bytes(), held);
    EXPECT_EQ(places.clients, 0U);
    EXPECT_EQ(strangers.size(), 0U);
    EXPECT_TRUE(input.shared.empty());
    engines.visit([](std::string_view name, const metrics::engine_counters& counters) {
      EXPECT_EQ(counters.connections, 0U) << name;
    });
  }

  struct connecting {
    bool tcp = false;     // what the daemon is told: the socket is one of Unix
    int send_buffer = 0;  // of the daemon's end
  };
  remote connect() { return connect({}); }
  remote connect(const connecting& how) {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    if (how.send_buffer > 0)
      ::setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &how.send_buffer, sizeof how.send_buffer);
    entrance.accept(base::unique_fd(ends[0]), how.tcp);
    return {base::unique_fd(ends[1]), last_id};
  }
  /// Null if it has ended.
  session* find(const remote& of) const { return clients.find(of.id); }
  session& at(const remote& of) const {
    session* const found = find(of);
    if (found == nullptr) throw std::logic_error("the client has ended");
    return *found;
  }

  /// The time goes on by so much before the next turn, and by nothing else: however slow the machine is, no
  /// timer runs before a test wants it.
  void pass(base::duration time) { now_ += time; }
  /// Returns how many sockets were ready.
  int run_turn() {
    poller.wait({});
    turn.begin();
    turn.now = now_;
    const int ready = poller.dispatch();
    turn.timers.run_due(turn.now);
    end_turn();
    return ready;
  }
  void end_turn() {
    turn.share_out();
    do {
      turn.resume_all();
    } while (turn.wants_to_resume());
    turn.flush_all();
    memory.settle(chunks.used_bytes());
    clients.free_retired();
    times.end_turn();
  }
  /// Turns until nothing is left to do. The end of a turn may ask for what the next one finds.
  void settle() {
    constexpr int most = 10000;
    for (int i = 0, quiet = 0; i < most && quiet < 2; ++i) {
      const bool busy = run_turn() > 0 || turn.has_leftover() || turn.wants_to_resume();
      quiet = busy ? 0 : quiet + 1;
      ASSERT_LT(i, most - 1) << "the worker never rests";
    }
  }
  /// Sends all of it, however long it is.
  void send_all(const remote& from, std::string_view bytes) {
    for (std::size_t sent = 0; sent < bytes.size();) {
      const std::size_t more = from.send_some(bytes.substr(sent));
      sent += more;
      const int ready = run_turn();
      ASSERT_TRUE(more > 0 || ready > 0 || turn.has_leftover()) << "nobody reads it: " << sent;
    }
  }
  /// Sends it, lets the worker do everything that there is to do, and returns what has come back.
  std::string exchange(remote& with, std::string_view bytes) {
    with.send(bytes);
    settle();
    return with.receive();
  }
  /// Everything that a client is sent, while the worker goes on.
  std::string receive_all(remote& by) {
    std::string all;
    for (bool more = true; more;) {
      run_turn();
      const std::string part = by.receive();
      more = !part.empty();
      all += part;
    }
    return all;
  }
  std::uint64_t closed_for(metrics::close_reason why) const {
    return metrics.clients_closed[static_cast<std::size_t>(why)];
  }
  std::uint64_t counted(std::string_view command, metrics::outcome how) const {
    return metrics
        .commands[static_cast<std::size_t>(command::find_command(command))][static_cast<std::size_t>(how)];
  }
  /// ECHO of a text of so many bytes, without sending as much: BIG <bytes>.
  void know_big() {
    handler.commands["BIG"] = [](session& client, const request& taken) {
      const std::string text(std::stoul(std::string(taken.args[1])), 'x');
      client.answer(taken, metrics::outcome::ok, [&](resp::encoder& out) { out.bulk(text); });
      return true;
    };
  }
  /// So much memory is used by others that the guard takes that measure.
  void use_memory(memory_budget::level level) {
    constexpr std::size_t mb = std::size_t{1} << 20;
    budget.set_limit(64 * mb);
    held = level == memory_budget::level::free ? 0 : level == memory_budget::level::tight ? 50 * mb : 58 * mb;
    memory.tick();
  }
  /// Users exist from now on, as after a reload.
  void set_users(std::vector<config::user_settings> users) {
    config::auth_settings settings;
    settings.users = std::move(users);
    // The users before go when everybody is one of the new ones, or none.
    const access_control before = std::exchange(access, access_control(settings));
    for (session* const each : clients.all()) {
      each->change_users();
      each->note_standing();
    }
  }

  client::turn turn;
  base::poller poller;
  base::chunk_pool chunks{4096, 64};
  base::object_pool<local_reply> local_replies;
  input_buffers input;
  memory_budget budget;
  std::size_t held = 0;  // bytes that are held beyond those of the clients
  memory_guard memory{*this, budget};
  metrics::worker_metrics metrics;
  std::vector<config::bus_settings> bus_settings;
  answer_times times{metrics, bus_settings};
  std::atomic<std::uint64_t> last_slow_id{0}, last_id{0};
  client::slow_log slow_log{last_slow_id};
  metrics::engine_table engines{10};
  refusal_counts refusals;
  client_places places;
  stranger_list strangers;
  client_directory clients{places, turn};
  stub_handler handler;
  access_control access{config::auth_settings{}};
  config::limit_settings limits;
  session_environment environment{turn,      poller,   chunks,  local_replies, input,    memory,
                                  times,     slow_log, metrics, engines,       refusals, places,
                                  strangers, clients,  handler, access,        limits,   2};
  door entrance{environment, clients, last_id};

 private:
  std::size_t held_bytes() const override { return held; }
  std::vector<memory_guard::candidate> evictable_clients(std::size_t least_bytes) const override {
    std::vector<memory_guard::candidate> found;
    clients.for_each([&](const session& each) {
      if (each.memory() >= least_bytes && each.evictable()) found.push_back({each.memory(), each.id()});
    });
    return found;
  }
  void cut_off(const memory_guard::candidate& which) override {
    clients.find(which.client)->leave(metrics::close_reason::memory);
  }
  bool check_held_clients(bool tight) override {
    bool any = false;
    for (session* const each : clients.all()) any |= each->check_held(tight);
    return any;
  }

  base::time_point now_ = turn.now;
};

}  // namespace dualbus::client::test
