#include "http_server.hpp"

#include "thread_setup.hpp"

#include <dualbus/base/clock.hpp>
#include <dualbus/base/log.hpp>
#include <dualbus/base/socket.hpp>

#include <algorithm>
#include <atomic>
#include <exception>
#include <list>
#include <map>
#include <memory>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <boost/none.hpp>

namespace dualbus::admin {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;

constexpr auto as_result = asio::as_tuple(asio::use_awaitable);
/// The time in which a peer may notice that its connection ends, and send more.
constexpr std::chrono::milliseconds linger_time{1000};
constexpr std::size_t linger_bytes = 64 * 1024;
/// The time that a page waits for others who ask for it.
constexpr std::chrono::milliseconds gathering_time{5};
constexpr int backlog = 128;
/// The most bytes that the first read of a request takes.
constexpr std::size_t read_bytes = 4096;
/// Pause after an accept that failed for want of descriptors or memory: the next one would also fail.
constexpr std::chrono::milliseconds accept_pause{100};

using response = http::response<http::string_body>;

response make_response(http_reply reply, unsigned version) {
  response out{static_cast<http::status>(reply.status), version};
  out.set(http::field::content_type, reply.content_type);
  out.set(http::field::cache_control, "no-store");
  out.set("X-Content-Type-Options", "nosniff");
  out.set("Content-Security-Policy",
          "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; "
          "form-action 'self'; frame-ancestors 'none'");
  out.body() = std::move(reply.body);
  out.prepare_payload();
  return out;
}

http_reply text(unsigned status, std::string body) {
  http_reply reply;
  reply.status = status;
  reply.body = std::move(body);
  return reply;
}

unsigned status_of(error_code error) {
  return error == http::error::header_limit || error == http::error::buffer_overflow ? 431 : 400;
}

// True if the peer sent something that is no request, rather than too little or nothing.
bool is_malformed(error_code error) {
  return error.category() == make_error_code(http::error::end_of_stream).category() &&
         error != http::error::end_of_stream && error != http::error::partial_message;
}

}  // namespace

class http_server::loop {
 public:
  loop(std::string address, std::uint16_t port, std::vector<http_page> pages, limits allowed,
       host_rule serves)
      : address_(std::move(address)),
        wanted_port_(port),
        pages_(std::move(pages)),
        limits_(allowed),
        serves_(std::move(serves)) {}

  void start(base::unique_fd listener) {
    listen(std::move(listener));
    asio::co_spawn(io_, accept_all(), [](std::exception_ptr) {});
    thread_ = start_quiet_thread("admin", [this] { io_.run(); });
  }

  void stop() {
    if (!thread_.joinable()) return;
    asio::post(io_, [this] {
      stopping_ = true;
      error_code ignored;
      acceptor_.close(ignored);
      accept_timer_.cancel();
      for (connection& peer : connections_) peer.stream.close();
    });
    thread_.join();
  }

  int listener() { return acceptor_.native_handle(); }
  void set_accepting(bool value) {
    asio::post(io_, [this, value] {
      accepting_ = value;
      if (stopping_) return;
      error_code ignored;
      value ? static_cast<void>(accept_timer_.cancel()) : static_cast<void>(acceptor_.cancel(ignored));
    });
  }

  std::uint16_t port() const { return port_; }
  std::size_t connections() const { return open_; }

 private:
  struct connection {
    connection(tcp::socket socket, std::size_t most_bytes) : stream(std::move(socket)), buffer(most_bytes) {}
    beast::tcp_stream stream;
    beast::flat_buffer buffer;
    const base::time_point accepted = base::clock::now();
    bool evicted = false;
  };
  using request_parser = http::request_parser<http::empty_body>;
  /// One run of http_page::make, and the requests that wait for it.
  struct rendering {
    explicit rendering(asio::io_context& io)
        : due(io, gathering_time), done(io, asio::steady_timer::time_point::max()) {}
    asio::steady_timer due;
    asio::steady_timer done;  // cancelled when the reply is there
    http_reply reply;
  };
  using page_query = std::pair<const http_page*, std::string>;
  using connection_list = std::list<connection>;  // the one that asked last comes last

  void listen(base::unique_fd fd) {
    const std::string where = "admin address " + address_ + ":" + std::to_string(wanted_port_);
    try {
      if (!fd) fd = base::listen_tcp(address_, wanted_port_, backlog, false);
      acceptor_.assign(address_.find(':') == std::string::npos ? tcp::v4() : tcp::v6(), fd.get());
      fd.release();
    } catch (const std::system_error& e) {
      throw std::system_error(e.code(), "cannot listen on " + where);
    }
    port_ = acceptor_.local_endpoint().port();
  }

  asio::awaitable<void> accept_all() {
    while (!stopping_) {
      if (!accepting_) {
        accept_timer_.expires_at(asio::steady_timer::time_point::max());
        co_await accept_timer_.async_wait(as_result);
        continue;
      }
      auto [error, socket] = co_await acceptor_.async_accept(as_result);
      if (stopping_) break;
      if (error == asio::error::operation_aborted && !accepting_) continue;
      if (error == asio::error::connection_aborted) continue;  // the peer was gone already
      if (error) {
        base::warn_limited({}, "admin: cannot accept: {}", error.message());
        accept_timer_.expires_after(accept_pause);
        co_await accept_timer_.async_wait(as_result);
        continue;
      }
      make_room();
      const auto peer =
          connections_.emplace(connections_.end(), std::move(socket), limits_.header_bytes + read_bytes);
      ++open_;
      asio::co_spawn(io_, serve(peer), [this, peer](std::exception_ptr failure) {
        if (failure) base::error_limited({}, "admin: a connection ended by an exception");
        if (!peer->evicted) --open_;
        connections_.erase(peer);
      });
    }
  }

  void make_room() {
    if (open_ < limits_.connections) return;
    const auto oldest = std::find_if(connections_.begin(), connections_.end(),
                                     [](const connection& c) { return !c.evicted; });
    oldest->evicted = true;
    --open_;
    oldest->stream.close();
  }

  asio::awaitable<void> serve(connection_list::iterator peer) {
    beast::tcp_stream& stream = peer->stream;
    auto first_byte_timeout = limits_.request_timeout;
    for (;;) {
      if (peer->buffer.size() == 0) {
        stream.expires_after(std::exchange(first_byte_timeout, limits_.idle_timeout));
        auto [error, size] = co_await stream.async_read_some(peer->buffer.prepare(read_bytes), as_result);
        if (error) co_return;
        peer->buffer.commit(size);
      }
      request_parser parser;
      parser.header_limit(static_cast<std::uint32_t>(limits_.header_bytes));
      parser.body_limit(boost::none);  // the presence of a body is checked below
      stream.expires_after(limits_.request_timeout);
      const auto [error, ignored] = co_await http::async_read_header(stream, peer->buffer, parser, as_result);
      if (error && !is_malformed(error)) co_return;
      connections_.splice(connections_.end(), connections_, peer);

      response out;
      if (error) {
        out = make_response(text(status_of(error), error.message() + "\n"), 11);
      } else {
        out = co_await answer(parser);
      }
      const bool keep = !error && parser.get().keep_alive() && !has_body(parser) &&
                        base::clock::now() - peer->accepted < limits_.lifetime;
      out.keep_alive(keep);
      const bool head = !error && parser.get().method() == http::verb::head;
      stream.expires_after(limits_.write_timeout);
      if (!co_await send(stream, out, head)) co_return;
      if (!keep) break;
    }
    co_await linger(stream);
  }

  asio::awaitable<bool> send(beast::tcp_stream& stream, response& out, bool head) {
    http::response_serializer<http::string_body> serializer(out);
    if (head) {
      const auto [error, ignored] = co_await http::async_write_header(stream, serializer, as_result);
      co_return !error;
    }
    const auto [error, ignored] = co_await http::async_write(stream, serializer, as_result);
    co_return !error;
  }

  // Closing a socket that still holds unread bytes resets the connection, and the peer may lose the answer.
  asio::awaitable<void> linger(beast::tcp_stream& stream) {
    error_code ignored;
    stream.socket().shutdown(tcp::socket::shutdown_send, ignored);
    stream.expires_after(linger_time);
    char dropped[4096];
    for (std::size_t total = 0; total < linger_bytes;) {
      const auto [error, size] = co_await stream.async_read_some(asio::buffer(dropped), as_result);
      if (error) break;
      total += size;
    }
  }

  static bool has_body(const request_parser& parser) {
    return parser.chunked() || parser.content_length().value_or(0) > 0;
  }

  asio::awaitable<response> answer(const request_parser& parser) {
    const auto& request = parser.get();
    const unsigned version = request.version();
    if (request.count(http::field::host) > 1)
      co_return make_response(text(400, "more than one Host\n"), version);
    if (serves_ && !serves_(request[http::field::host])) {
      co_return make_response(text(421, "this Host is not served here: admin.hosts may name it\n"), version);
    }
    const std::string_view target(request.target().data(), request.target().size());
    const std::string_view path = target.substr(0, target.find('?'));
    const std::string_view query = target.substr(std::min(path.size() + 1, target.size()));
    const auto page =
        std::find_if(pages_.begin(), pages_.end(), [&](const http_page& p) { return p.path == path; });
    if (page == pages_.end()) co_return make_response(text(404, "not found\n"), version);
    if (request.method() != http::verb::get && request.method() != http::verb::head) {
      response out = make_response(text(405, "only GET and HEAD\n"), version);
      out.set(http::field::allow, "GET, HEAD");
      co_return out;
    }
    if (has_body(parser)) co_return make_response(text(413, "no request may have a body\n"), version);
    http_reply reply = co_await rendered(*page, page->make_for ? query : std::string_view());
    co_return make_response(std::move(reply), version);
  }

  // Requests that come before the page is rendered share it.
  asio::awaitable<http_reply> rendered(const http_page& page, std::string_view query) {
    const page_query key(&page, query);
    std::shared_ptr<rendering>& next = renderings_[key];
    if (!next) {
      next = std::make_shared<rendering>(io_);
      next->due.async_wait([this, key](error_code) { render(key); });
    }
    const std::shared_ptr<rendering> mine = next;
    co_await mine->done.async_wait(as_result);
    co_return mine->reply;
  }

  void render(const page_query& key) {
    const std::shared_ptr<rendering> job = std::move(renderings_.extract(key).mapped());
    const auto& [asked, query] = key;
    const http_page& page = *asked;
    try {
      job->reply = page.make_for ? page.make_for(query) : page.make();
    } catch (const std::exception& e) {
      base::error_limited({}, "admin: {}: {}", page.path, base::in_log(e.what(), 200));
      job->reply = text(500, "internal error\n");
    }
    job->done.cancel();
  }

  const std::string address_;
  const std::uint16_t wanted_port_;
  const std::vector<http_page> pages_;
  const limits limits_;
  const host_rule serves_;
  asio::io_context io_{1};
  tcp::acceptor acceptor_{io_};
  asio::steady_timer accept_timer_{io_};
  connection_list connections_;
  std::map<page_query, std::shared_ptr<rendering>> renderings_;  // renderings that have not begun
  std::atomic<std::size_t> open_ = 0;                            // connections that are not evicted
  std::uint16_t port_ = 0;
  bool stopping_ = false, accepting_ = true;
  std::thread thread_;
};

http_server::http_server(std::string address, std::uint16_t port, std::vector<http_page> pages,
                         limits allowed, host_rule serves)
    : loop_(std::make_unique<loop>(std::move(address), port, std::move(pages), allowed, std::move(serves))) {}

http_server::~http_server() {
  stop();
}

void http_server::start(base::unique_fd listener) {
  loop_->start(std::move(listener));
}

int http_server::listener() const {
  return loop_->listener();
}

void http_server::set_accepting(bool value) {
  loop_->set_accepting(value);
}

void http_server::stop() {
  loop_->stop();
}

std::uint16_t http_server::port() const {
  return loop_->port();
}

std::size_t http_server::connections() const {
  return loop_->connections();
}

}  // namespace dualbus::admin
