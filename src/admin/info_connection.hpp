#pragma once

#include "name_lookup.hpp"
#include "stop_signal.hpp"

#include <dualbus/base/unique_fd.hpp>
#include <dualbus/config/configuration.hpp>

#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

struct redisReader;

namespace dualbus::admin {

/// One bus's connection for INFO. hiredis writes and reads the protocol; the waiting is done here, because
/// every wait must end at its deadline, however a peer trickles, and at once when the daemon stops.
class info_connection {
 public:
  /// Enough for any INFO, whose longest part is one line per command; a peer that sends more sends garbage.
  static constexpr std::size_t max_reply_bytes = 4 << 20;

  /// Both outlive the connection.
  info_connection(const config::bus_settings& bus, const stop_signal& stop);
  ~info_connection();
  info_connection(const info_connection&) = delete;
  info_connection& operator=(const info_connection&) = delete;

  bool is_open() const { return static_cast<bool>(fd_); }
  /// Connects, authenticates and names the connection. On failure error() says why and it is closed.
  bool open(base::time_point deadline);
  void close();

  /// INFO's text. On failure error() says why and the connection is closed: a late answer would be taken for
  /// the next one's.
  std::optional<std::string> info(base::time_point deadline);

  const std::string& error() const { return error_; }

 private:
  struct reply {
    bool is_error;
    std::string text;
  };
  struct reader_deleter {
    void operator()(redisReader* reader) const;
  };

  bool connect(base::time_point deadline);
  bool finish_connect(base::unique_fd fd, base::time_point deadline);
  std::optional<reply> call(std::initializer_list<std::string_view> words, base::time_point deadline);
  bool send_all(std::string_view bytes, base::time_point deadline);
  std::optional<reply> receive(base::time_point deadline);
  bool wait(short events, base::time_point deadline);
  void fail(std::string reason);

  const config::bus_settings& bus_;
  const stop_signal& stop_;
  name_lookup lookup_;
  base::unique_fd fd_;
  std::unique_ptr<redisReader, reader_deleter> reader_;
  std::string error_;
};

}  // namespace dualbus::admin
