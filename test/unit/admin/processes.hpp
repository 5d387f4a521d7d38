#pragma once

#include <dualbus/base/unique_fd.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

namespace dualbus::test {

/// A directory of its own, removed at the end.
class temporary_directory {
 public:
  temporary_directory();
  ~temporary_directory();
  temporary_directory(const temporary_directory&) = delete;
  temporary_directory& operator=(const temporary_directory&) = delete;
  const std::string& path() const { return path_; }
  std::string write(const std::string& name, std::string_view text) const;

 private:
  std::string path_;
};

/// A program that ends with its object, and with the test whatever becomes of that. Its output is dropped.
class child_process {
 public:
  child_process() = default;
  explicit child_process(std::vector<std::string> arguments);
  ~child_process() { end(); }
  child_process(child_process&& other) noexcept;
  child_process& operator=(child_process&& other) noexcept;

  void signal(int number) const;
  void end();

 private:
  pid_t pid_ = -1;
};

/// A Redis without persistence on 127.0.0.1 and on a Unix socket, answering when constructed.
class redis_process {
 public:
  explicit redis_process(std::vector<std::string> options = {}, std::uint16_t port = 0);

  std::uint16_t port() const { return port_; }
  std::string socket_path() const { return directory_.path() + "/redis.sock"; }
  void signal(int number) const { process_.signal(number); }
  /// Ends it at once; begin() starts it again on the same port.
  void kill() { process_.end(); }
  void begin();
  /// One command's reply as redis-cli shows it.
  std::string command(const std::string& words) const;

 private:
  temporary_directory directory_;
  std::vector<std::string> options_;
  std::uint16_t port_;
  child_process process_;
};

std::uint16_t free_port();

/// Asks until it is true or `timeout` has passed; returns the last answer.
bool eventually(const std::function<bool()>& condition,
                std::chrono::milliseconds timeout = std::chrono::milliseconds(10'000));

struct command_result {
  int status;
  std::string output;  ///< with standard error
};
command_result run(const std::string& shell_command);

std::string read_text(const std::string& path);

/// A connection to 127.0.0.1 whose reads give up after ten seconds.
class tcp_client {
 public:
  explicit tcp_client(std::uint16_t port);
  int fd() const { return fd_.get(); }
  /// False when the peer is gone.
  bool send(std::string_view bytes);
  /// Until the peer closes.
  std::string read_all();
  /// One HTTP response with its body, by Content-Length.
  std::string read_response();
  /// True if the peer closes within `timeout`; bytes that it sends before are dropped.
  bool closed_within(std::chrono::milliseconds timeout);

 private:
  bool read_more();

  base::unique_fd fd_;
  std::string buffer_;
};

/// The whole answer to "GET path" on a new connection.
std::string http_get(std::uint16_t port, const std::string& path);

}  // namespace dualbus::test
