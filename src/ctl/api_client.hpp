#pragma once

#include <chrono>
#include <stdexcept>
#include <string>
#include <string_view>

namespace dualbus::ctl {

struct http_answer {
  unsigned status = 0;
  std::string body;
};

/// Asks the admin listener of a daemon.
class api_client {
 public:
  /// `url`: http://HOST[:PORT], port 9121 unless given. Throws std::invalid_argument if it is none.
  explicit api_client(std::string_view url);

  /// Throws std::runtime_error, whose text names the address, if nobody answers in time.
  http_answer get(std::string_view target) const;
  const std::string& address() const { return address_; }

 private:
  static constexpr std::chrono::seconds patience{5};
  std::string host_, port_ = "9121", address_;
};

/// A word as part of a query, in which only letters, digits, '-', '.', '_' and '~' stay as they are.
std::string encoded(std::string_view word);

}  // namespace dualbus::ctl
