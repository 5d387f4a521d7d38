#pragma once

#include <dualbus/base/socket.hpp>
#include <dualbus/base/unique_fd.hpp>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace dualbus::operation::test {

inline std::string bulk(std::string_view text) {
  return "$" + std::to_string(text.size()) + "\r\n" + std::string(text) + "\r\n";
}

/// A stand-in for Redis at a Unix socket, in the thread of the test, which says what it answers. Greetings,
/// watchers and tests of a connection are answered by itself, unless the test keeps their command to itself.
/// Replies leave each connection in the order of its requests, in whatever order the test gives them. The
/// CLIENT ID of a connection is its number: they are counted from 1.
class fake_bus {
 public:
  struct request {
    int from = 0;            // the connection
    std::size_t number = 0;  // on its connection
    std::string bytes, text;
  };

  /// `run` lets everybody do what there is to do.
  fake_bus(std::string path, std::function<void()> run) : path_(std::move(path)), run_(std::move(run)) {
    listens(true);
  }

  // --- what the daemon has sent

  /// The next request, its words parted by blanks; "(nothing)" if there is none.
  std::string asked() {
    run_();
    if (waiting_.empty()) return "(nothing)";
    take_next();
    return last().text;
  }
  /// All that wait.
  std::vector<std::string> asked_all() {
    run_();
    taken_.clear();
    std::vector<std::string> texts;
    while (!waiting_.empty()) {
      taken_.push_back(std::move(waiting_.front()));
      waiting_.pop_front();
      texts.push_back(taken_.back().text);
    }
    return texts;
  }
  /// The bytes of all that wait, as they were received.
  std::string asked_bytes() {
    asked_all();
    std::string bytes;
    for (const request& r : taken_) bytes += r.bytes;
    return bytes;
  }
  /// The request that was taken last.
  const request& last() const { return taken_.back(); }
  /// The number of times that something was received, answered by itself or not.
  std::size_t times(std::string_view text) const {
    return static_cast<std::size_t>(std::count(seen_.begin(), seen_.end(), text));
  }

  // --- what it answers

  void answers(std::string_view reply) { answer(last(), reply); }
  /// One reply for each of those that asked_all() returned.
  void answers_all(const std::vector<std::string>& replies) {
    ASSERT_EQ(replies.size(), taken_.size());
    for (std::size_t i = 0; i < replies.size(); ++i) answer(taken_[i], replies[i]);
  }
  void answer(const request& to, std::string_view reply) {
    const auto found = connections_.find(to.from);
    if (found == connections_.end()) return;
    found->second.replies[to.number] = reply;
    send_replies(found->second);
  }
  /// Sends something that nobody has asked for.
  void says(int number, std::string_view bytes) { send(connections_.at(number), bytes); }
  /// The bus tells its watcher that a key has changed.
  void announces(std::string_view key) { says(watcher(), ">2\r\n$10\r\ninvalidate\r\n*1\r\n" + bulk(key)); }
  /// Keeps a command, in upper case, for the test; or answers it by itself again.
  void keep(const std::string& command, bool kept = true) {
    kept_.erase(command);
    if (kept) kept_.insert(command);
  }

  // --- its connections

  /// The number of the connection that watches; 0 if none does.
  int watcher() const {
    return number_of([](const connection& c) { return c.watches; });
  }
  /// The number of the connection that subscribes; 0 if none does.
  int subscriber() const {
    return number_of([](const connection& c) { return c.subscribes; });
  }
  std::size_t connections() const { return connections_.size(); }
  bool has(int number) const { return connections_.contains(number); }
  void closes(int number) { connections_.erase(number); }
  void closes_all() { connections_.clear(); }
  /// Takes connections, or refuses them.
  void listens(bool on) {
    listener_.reset();
    if (on) listener_ = base::listen_unix(path_, 0700, 100);
  }
  /// Reads what is sent, or lets it pile up.
  void reads(bool on) { reading_ = on; }
  /// The role that HELLO names from now on: "master" or "replica".
  void is(std::string role) { role_ = std::move(role); }
  /// Is gone, and takes no connections.
  void goes_away() {
    listens(false);
    closes_all();
    waiting_.clear();
  }

  /// Accepts and reads; false if nothing has come.
  bool step() {
    bool any = false;
    while (listener_) {
      base::unique_fd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (!fd) break;
      connections_[++last_number_].fd = std::move(fd);
      any = true;
    }
    for (auto at = connections_.begin(); reading_ && at != connections_.end();) {
      const int number = at->first;
      connection& c = at->second;
      ++at;
      any |= read(number, c);
    }
    return any;
  }

 private:
  struct connection {
    base::unique_fd fd;
    std::string input;
    std::map<std::size_t, std::string> replies;  // by request
    std::size_t received = 0, answered = 0;
    bool watches = false, subscribes = false, caching = false;
    bool greeting = false;  // what comes in one piece with HELLO
  };

  template <typename Is>
  int number_of(Is&& is) const {
    for (auto at = connections_.rbegin(); at != connections_.rend(); ++at) {
      if (is(at->second)) return at->first;
    }
    return 0;
  }

  void take_next() {
    taken_.assign(1, std::move(waiting_.front()));
    waiting_.pop_front();
  }

  static void send(connection& to, std::string_view bytes) {
    ASSERT_EQ(::send(to.fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }

  static void send_replies(connection& to) {
    for (auto at = to.replies.find(to.answered); at != to.replies.end(); at = to.replies.find(to.answered)) {
      send(to, at->second);
      to.replies.erase(at);
      ++to.answered;
    }
  }

  bool read(int number, connection& c) {
    char room[65536];
    bool any = false;
    for (;;) {
      const ssize_t received = ::recv(c.fd.get(), room, sizeof room, 0);
      if (received > 0) c.input.append(room, static_cast<std::size_t>(received));
      if (received <= 0 && (received == 0 || errno != EAGAIN)) {
        connections_.erase(number);
        return true;
      }
      if (received < 0) break;
      any = true;
    }
    while (take_request(number, c)) {
    }
    c.greeting = false;
    return any;
  }

  // "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"
  bool take_request(int number, connection& c) {
    std::size_t at = 0;
    const auto length = [&](char type) -> std::optional<std::size_t> {
      const std::size_t end = c.input.find("\r\n", at);
      if (end == std::string::npos) return std::nullopt;
      EXPECT_EQ(c.input[at], type) << c.input;
      const std::size_t value = std::stoul(c.input.substr(at + 1, end - at - 1));
      at = end + 2;
      return value;
    };
    const auto count = length('*');
    if (!count) return false;
    std::vector<std::string> words;
    for (std::size_t i = 0; i < *count; ++i) {
      const auto size = length('$');
      if (!size || c.input.size() < at + *size + 2) return false;
      words.push_back(c.input.substr(at, *size));
      at += *size + 2;
    }
    request got{number, c.received++, c.input.substr(0, at), {}};
    for (const std::string& w : words) got.text += (got.text.empty() ? "" : " ") + w;
    c.input.erase(0, at);
    seen_.push_back(got.text);
    if (const auto reply = own_answer(number, c, words); reply && !kept_.contains(words[0])) {
      answer(got, *reply);
    } else {
      waiting_.push_back(std::move(got));
    }
    return true;
  }

  std::optional<std::string> own_answer(int number, connection& c,
                                        const std::vector<std::string>& words) const {
    const std::string& name = words[0];
    const bool may = std::exchange(c.caching, false);
    if (name == "HELLO") {
      c.greeting = true;
      const std::string head = words[1] == "3" ? "%5\r\n" : "*10\r\n";
      return head + bulk("server") + bulk("redis") + bulk("version") + bulk("7.0.15") + bulk("proto") + ":" +
             words[1] + "\r\n" + bulk("id") + ":" + std::to_string(number) + "\r\n" + bulk("role") +
             bulk(role_);
    }
    if (name == "SELECT" && c.greeting) return "+OK\r\n";
    if (name == "ECHO" && words.size() == 2) return bulk(words[1]);
    if (name == "SETRANGE" && words[1] == "dualbus:probe") return ":0\r\n";
    if (name == "PING" && words.size() == 2) return bulk(words[1]);
    if (name == "CLIENT" && words[1] == "TRACKING") {
      c.watches = words.size() == 3;
      return "+OK\r\n";
    }
    if (name == "CLIENT" && words[1] == "CACHING") {
      c.caching = true;
      return "+OK\r\n";
    }
    if (name == "EXISTS" && (c.watches || may)) return ":1\r\n";
    if (name == "INFO" && c.watches) return bulk("");
    if (name.ends_with("SUBSCRIBE")) {
      c.subscribes = true;
      std::string kind = name;
      std::transform(kind.begin(), kind.end(), kind.begin(),
                     [](char l) { return static_cast<char>(l | 32); });
      return ">3\r\n" + bulk(kind) + bulk(words[1]) + ":1\r\n";
    }
    return std::nullopt;
  }

  const std::string path_;
  const std::function<void()> run_;
  base::unique_fd listener_;
  std::map<int, connection> connections_;
  std::deque<request> waiting_;
  std::vector<request> taken_;
  std::vector<std::string> seen_;
  std::set<std::string> kept_;
  int last_number_ = 0;
  bool reading_ = true;
  std::string role_ = "master";
};

}  // namespace dualbus::operation::test
