#pragma once

#include <dualbus/base/unique_fd.hpp>

#include <chrono>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <memory>
#include <signal.h>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <hiredis/hiredis.h>

namespace dualbus::test {

struct free_reply {
  void operator()(redisReply* reply) const { freeReplyObject(reply); }
};
using reply_ptr = std::unique_ptr<redisReply, free_reply>;

/// A redis-server of its own as oracle, on a Unix socket in a directory of its own; it ends with the object,
/// or with the test program.
class real_redis {
 public:
  real_redis() {
    char pattern[] = "/tmp/dualbus-oracle-XXXXXX";
    if (::mkdtemp(pattern) == nullptr) throw std::runtime_error("mkdtemp");
    directory_ = pattern;
    process_ = ::fork();
    if (process_ == 0) run_server();
    // Redis does not tell when it listens, so it is asked until it answers.
    for (int attempt = 0; attempt < 12000; ++attempt) {
      if (connect()) {
        hiredis_.reset(redisConnectUnix(socket_path().c_str()));
        return;
      }
      if (::waitpid(process_, nullptr, WNOHANG) == process_) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    process_ = -1;
    throw std::runtime_error("cannot start redis-server (Debian package redis-server)");
  }
  ~real_redis() {
    hiredis_.reset();
    if (process_ > 0) {
      ::kill(process_, SIGKILL);
      ::waitpid(process_, nullptr, 0);
    }
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }
  real_redis(const real_redis&) = delete;
  real_redis& operator=(const real_redis&) = delete;

  std::string socket_path() const { return directory_ + "/redis.sock"; }

  /// A blocking connection.
  base::unique_fd connect() const {
    base::unique_fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, socket_path().c_str());
    if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) fd.reset();
    return fd;
  }

  /// Sends `bytes` on a connection of their own, then closes its sending side; returns all that came back.
  /// For short answers: Redis drops what it could not write at once when it sees the end.
  std::string converse(std::string_view bytes) const {
    const base::unique_fd fd = connect();
    std::string received;
    char block[65536];
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) break;  // refused: the reason is there to be read
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    ::shutdown(fd.get(), SHUT_WR);
    for (ssize_t got; (got = ::recv(fd.get(), block, sizeof block, 0)) > 0;) {
      received.append(block, static_cast<std::size_t>(got));
    }
    return received;
  }

  reply_ptr command(const std::vector<std::string>& arguments) const {
    std::vector<const char*> pointers;
    std::vector<std::size_t> lengths;
    for (const std::string& argument : arguments) {
      pointers.push_back(argument.data());
      lengths.push_back(argument.size());
    }
    auto* reply = static_cast<redisReply*>(redisCommandArgv(
        hiredis_.get(), static_cast<int>(arguments.size()), pointers.data(), lengths.data()));
    if (reply == nullptr) throw std::runtime_error("redis-server closed the connection");
    return reply_ptr(reply);
  }

 private:
  struct free_context {
    void operator()(redisContext* context) const { redisFree(context); }
  };

  [[noreturn]] void run_server() const {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int silence = ::open("/dev/null", O_RDWR);
    for (const int fd : {0, 1, 2}) ::dup2(silence, fd);
    ::execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", socket_path().c_str(), "--dir",
             directory_.c_str(), "--save", "", "--appendonly", "no", "--enable-debug-command", "yes",
             static_cast<char*>(nullptr));
    ::_exit(127);
  }

  std::string directory_;
  pid_t process_ = -1;
  std::unique_ptr<redisContext, free_context> hiredis_;
};

/// The text of a string, status or error reply.
inline std::string text_of(const redisReply& reply) {
  return {reply.str, static_cast<std::size_t>(reply.len)};
}

}  // namespace dualbus::test
