#include "api_client.hpp"

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <boost/none.hpp>

namespace dualbus::ctl {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;

// Runs one step, bounded in time: the stream's time-out works for asynchronous calls only.
template <typename Begin>
void finish(asio::io_context& io, Begin begin) {
  error_code result;
  begin([&result](error_code error, auto&&...) { result = error; });
  io.restart();
  io.run();
  if (result) throw boost::system::system_error(result);
}

}  // namespace

api_client::api_client(std::string_view url) {
  constexpr std::string_view scheme = "http://";
  const std::string text(url);
  if (!url.starts_with(scheme))
    throw std::invalid_argument("'" + text + "' is no address: http://HOST[:PORT]");
  url.remove_prefix(scheme.size());
  url = url.substr(0, url.find('/'));
  const bool bracketed = url.starts_with('[');
  const std::size_t end = bracketed ? url.find(']') : url.find(':');
  host_ = url.substr(bracketed ? 1 : 0, end - (bracketed ? 1 : 0));
  const std::size_t colon = bracketed && end != std::string_view::npos ? end + 1 : end;
  if (colon < url.size()) port_ = url.substr(colon + 1);
  if (host_.empty() || port_.empty() || port_.find_first_not_of("0123456789") != std::string::npos)
    throw std::invalid_argument("'" + text + "' is no address: http://HOST[:PORT]");
  address_ = (bracketed ? "[" + host_ + "]" : host_) + ":" + port_;
}

http_answer api_client::get(std::string_view target) const {
  try {
    asio::io_context io;
    beast::tcp_stream stream(io);
    const auto places = asio::ip::tcp::resolver(io).resolve(host_, port_);
    stream.expires_after(patience);
    finish(io, [&](auto done) { stream.async_connect(places, done); });
    http::request<http::empty_body> request(http::verb::get, {target.data(), target.size()}, 11);
    request.set(http::field::host, address_);
    request.keep_alive(false);
    finish(io, [&](auto done) { http::async_write(stream, request, done); });
    beast::flat_buffer buffer;
    http::response_parser<http::string_body> response;
    response.body_limit(boost::none);  // a table may have any number of clients
    finish(io, [&](auto done) { http::async_read(stream, buffer, response, done); });
    return {response.get().result_int(), std::move(response.get().body())};
  } catch (const boost::system::system_error& e) {
    throw std::runtime_error("no answer from " + address_ + ": " + e.code().message());
  }
}

std::string encoded(std::string_view word) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string result;
  for (const char c : word) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~';
    const auto byte = static_cast<unsigned char>(c);
    if (plain) {
      result += c;
    } else {
      result += {'%', digits[byte >> 4], digits[byte & 15]};
    }
  }
  return result;
}

}  // namespace dualbus::ctl
