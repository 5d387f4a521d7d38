#pragma once

#include "resp_pieces.hpp"

#include <dualbus/base/unique_fd.hpp>

#include <algorithm>
#include <cstddef>
#include <ctime>
#include <memory>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace dualbus::app::test {

/// The kinds of connections that a bus sees.
enum class line_kind {
  shared,  ///< the first one of each database, which all clients use
  own,     ///< a later one, which one client uses for a while
  aside    ///< with RESP3: for subscriptions, and to watch keys; and whatever else watches keys
};

/// A request that has reached a bus.
struct delivery {
  line_kind line;
  int database;
  bool in_multi;  ///< MULTI came before it
  words request;
};

/// The answer that a Redis might give, of the right form; the elements of arrays are few.
inline std::string plausible_answer(const words& request) {
  const std::string name = upper(request[0]);
  const std::string sub = request.size() > 1 ? upper(request[1]) : "";
  const auto is = [&name](std::string_view list) {
    return (" " + std::string(list) + " ").find(" " + name + " ") != std::string::npos;
  };
  if (is("SET MSET FLUSHDB FLUSHALL SELECT WATCH UNWATCH DISCARD RENAME CLIENT SWAPDB SAVE"))
    return "+OK\r\n";
  if (is("GET RANDOMKEY DUMP ECHO INFO LOLWUT")) return bulk(request.size() > 1 ? request[1] : "k");
  if (is("PING")) return request.size() > 1 ? bulk(request[1]) : "+PONG\r\n";
  if (is("MGET")) {
    std::string all = "*" + std::to_string(request.size() - 1) + "\r\n";
    for (std::size_t i = 1; i < request.size(); ++i) all += bulk(request[i]);
    return all;
  }
  if (is("TIME")) return "*2\r\n" + bulk(std::to_string(std::time(nullptr))) + bulk("0");
  if (is("TYPE")) return request[1] == "stream" ? "+stream\r\n" : "+string\r\n";
  if (is("KEYS")) return "*1\r\n" + bulk("k");
  if (is("SCAN")) return "*2\r\n" + bulk("0") + "*0\r\n";
  if (is("WAITAOF")) return "*2\r\n:1\r\n:1\r\n";
  if (is("XADD")) return bulk("1700000000000-0");
  if (is("XRANGE XREVRANGE XCLAIM CONFIG HELP")) return "*0\r\n";
  if (is("XREAD XREADGROUP")) return "*-1\r\n";
  if (is("XACKDEL XDELEX")) return "*1\r\n:1\r\n";
  if (is("XPENDING")) return request.size() > 3 ? "*0\r\n" : "*4\r\n:0\r\n$-1\r\n$-1\r\n*-1\r\n";
  if (is("XAUTOCLAIM")) return "*3\r\n" + bulk("0-0") + "*0\r\n*0\r\n";
  if (is("XINFO") && sub == "STREAM") {
    return "*20\r\n" + bulk("length") + ":0\r\n" + bulk("radix-tree-keys") + ":0\r\n" +
           bulk("radix-tree-nodes") + ":1\r\n" + bulk("last-generated-id") + bulk("5-0") +
           bulk("max-deleted-entry-id") + bulk("0-0") + bulk("entries-added") + ":0\r\n" +
           bulk("recorded-first-entry-id") + bulk("0-0") + bulk("groups") +
           (request.size() > 3 ? "*0\r\n" : ":1\r\n") + bulk("first-entry") + "$-1\r\n" + bulk("last-entry") +
           "$-1\r\n";
  }
  if (is("XINFO") && sub == "GROUPS") {
    return "*1\r\n*12\r\n" + bulk("name") + bulk("g") + bulk("consumers") + ":0\r\n" + bulk("pending") +
           ":0\r\n" + bulk("last-delivered-id") + bulk("5-0") + bulk("entries-read") + ":0\r\n" +
           bulk("lag") + ":0\r\n";
  }
  if (is("XINFO")) return "*0\r\n";
  if (is("XGROUP")) return sub == "CREATE" || sub == "SETID" ? "+OK\r\n" : ":1\r\n";
  if (is("OBJECT")) return sub == "ENCODING" ? bulk("raw") : ":1\r\n";
  if (is("MEMORY")) return sub == "USAGE" ? ":1\r\n" : sub == "PURGE" ? "+OK\r\n" : bulk("fine");
  if (is("SCRIPT")) {
    return sub == "EXISTS" ? "*1\r\n:1\r\n" : sub == "LOAD" ? bulk(std::string(40, 'a')) : "+OK\r\n";
  }
  if (is("FUNCTION")) {
    return sub == "LOAD" ? bulk("lib") : sub == "LIST" || sub == "STATS" ? "*0\r\n" : "+OK\r\n";
  }
  if (is("PUBSUB")) return sub == "CHANNELS" || sub == "SHARDCHANNELS" ? "*0\r\n" : ":0\r\n";
  return ":1\r\n";
}

/// A Redis as the daemon sees it, on a Unix socket and on the thread of the test. serve() takes what has come
/// and answers; while `holding` it takes and keeps the answers back.
class fake_bus {
 public:
  fake_bus(std::string name, const std::string& prefix) : name_(std::move(name)), path_(prefix + name_) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, sizeof address.sun_path - 1);
    listener_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listener_.get(), 64), 0);
  }

  ~fake_bus() { ::unlink(path_.c_str()); }
  fake_bus(const fake_bus&) = delete;
  fake_bus& operator=(const fake_bus&) = delete;

  const std::string& name() const { return name_; }

  /// Requests since the last clear, without those that begin a connection.
  std::vector<delivery> given;
  bool holding = false;

  /// True if anything was there to do.
  bool serve() {
    bool busy = false;
    for (int fd; (fd = ::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
      connections_.push_back(std::make_unique<connection>());
      connections_.back()->fd.reset(fd);
      busy = true;
    }
    for (const auto& c : connections_) busy |= serve(*c);
    std::erase_if(connections_, [](const auto& c) { return c->ended; });
    return busy;
  }

  /// Sends a message of Pub/Sub to the connection that subscribes.
  void publish(const std::string& channel, const std::string& payload) {
    for (const auto& c : connections_) {
      if (c->line != line_kind::aside || !c->subscribed) continue;
      c->output += ">3\r\n" + bulk("message") + bulk(channel) + bulk(payload);
    }
  }

 private:
  struct connection {
    base::unique_fd fd;
    std::string input, output, queued;
    line_kind line = line_kind::shared;
    int database = 0;
    std::size_t in_queue = 0;
    bool greeted = false, placed = false, prepares = false;
    bool in_multi = false, subscribed = false, ended = false;
  };

  bool serve(connection& c) {
    char room[65536];
    const ssize_t got = ::recv(c.fd.get(), room, sizeof room, MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN)) c.ended = true;
    if (got > 0) c.input.append(room, static_cast<std::size_t>(got));
    for (const std::string& request : take_values(c.input)) take(c, words_of(request));
    const bool begins = c.line == line_kind::aside || !c.placed;
    const bool sends = !c.output.empty() && (!holding || begins);
    if (sends) {
      (void)!::send(c.fd.get(), c.output.data(), c.output.size(), MSG_NOSIGNAL);
      c.output.clear();
    }
    return got >= 0 || sends;
  }

  void take(connection& c, const words& request) {
    const std::string name = upper(request[0]);
    if (!c.greeted) {
      c.greeted = true;
      if (request[1] == "3") c.line = line_kind::aside;
      c.output += "*8\r\n" + bulk("server") + bulk("redis") + bulk("version") + bulk("7.0.15") +
                  bulk("role") + bulk("master") + bulk("id") + ":7\r\n";
      return;
    }
    if (name == "SELECT" && !c.placed && c.database == 0 && c.line != line_kind::aside) {
      c.database = static_cast<int>(number_in("#" + request[1]));
      c.output += "+OK\r\n";
      return;
    }
    if (!c.placed && c.line != line_kind::aside) {
      c.placed = true;
      bool& taken = taken_[c.database == 0 ? 0 : 1];
      if (std::exchange(taken, true)) c.line = line_kind::own;
    }
    const bool prepares = name == "CLIENT" || std::exchange(c.prepares, false);
    c.prepares = name == "CLIENT" && upper(request[1]) == "CACHING";
    given.push_back({prepares ? line_kind::aside : c.line, c.database, c.in_multi, request});
    if (name == "MULTI") {
      c.in_multi = true;
      c.output += "+OK\r\n";
    } else if (c.in_multi && (name == "EXEC" || name == "DISCARD")) {
      c.output += name == "EXEC" ? "*" + std::to_string(c.in_queue) + "\r\n" + c.queued : "+OK\r\n";
      c.in_multi = false;
      c.in_queue = 0;
      c.queued.clear();
    } else if (c.in_multi) {
      ++c.in_queue;
      c.queued += plausible_answer(request);
      c.output += "+QUEUED\r\n";
    } else if (name.ends_with("SUBSCRIBE")) {
      c.subscribed = true;
      std::string kind = request[0];
      for (char& letter : kind) letter = static_cast<char>(letter | 32);
      c.output += ">3\r\n" + bulk(kind) + bulk(request[1]) + ":1\r\n";
    } else {
      c.output += plausible_answer(request);
    }
  }

  const std::string name_, path_;
  base::unique_fd listener_;
  std::vector<std::unique_ptr<connection>> connections_;
  bool taken_[2] = {false, false};  // the shared connection of database 0, and of another one
};

}  // namespace dualbus::app::test
