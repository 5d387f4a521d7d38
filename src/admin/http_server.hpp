#pragma once

#include <dualbus/base/unique_fd.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace dualbus::admin {

struct http_reply {
  unsigned status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
};

/// One page: GET and HEAD of `path` get the result of `make`. It runs on the server's thread, and all
/// requests wait for it; requests for the same page that come meanwhile share the result. An exception
/// becomes status 500.
struct http_page {
  std::string path;
  std::function<http_reply()> make;
  /// Instead of `make`, for a page that depends on its query: what follows the '?', as it was sent.
  std::function<http_reply(std::string_view query)> make_for = {};
};

/// A small HTTP/1.1 server with a thread of its own, for trusted readers but against careless ones: the bytes
/// that a peer sends, the time it takes and the number of connections are limited. A new connection beyond
/// the limit ends the one whose last request is the longest ago, so silent peers never lock out a scraper. No
/// request may have a body: it is refused before a byte of it is looked at, and so are its chunks' extensions
/// and trailers.
class http_server {
 public:
  struct limits {
    std::size_t connections = 64;
    std::size_t header_bytes = 8 * 1024;                ///< request line and fields
    std::chrono::milliseconds request_timeout{10'000};  ///< first byte to last, and a new connection's first
    std::chrono::milliseconds idle_timeout{90'000};     ///< between requests: longer than scrape intervals
    std::chrono::milliseconds write_timeout{10'000};
    /// A connection that is older ends after its next answer.
    std::chrono::milliseconds lifetime{3'600'000};
  };
  /// Decides whether a request with that Host header is answered. Runs on the server's thread.
  using host_rule = std::function<bool(std::string_view)>;

  /// `address` is numeric; port 0 takes any free port. Without a rule every Host is served.
  http_server(std::string address, std::uint16_t port, std::vector<http_page> pages, limits allowed,
              host_rule serves = {});
  ~http_server();  ///< stops
  http_server(const http_server&) = delete;
  http_server& operator=(const http_server&) = delete;

  /// Call it once. Throws std::system_error, whose text names the address, if it cannot listen there. With a
  /// `listener`, which another process has opened, it listens there.
  void start(base::unique_fd listener = {});
  /// Between start() and stop(): the listening socket, which stays the server's.
  int listener() const;
  /// While it does not accept, connections wait for whoever else has the listener. From any thread.
  void set_accepting(bool value);
  /// Ends all connections and the thread; may be called again.
  void stop();

  std::uint16_t port() const;       ///< the port it listens on; 0 before start()
  std::size_t connections() const;  ///< from any thread

 private:
  class loop;
  std::unique_ptr<loop> loop_;
};

}  // namespace dualbus::admin
