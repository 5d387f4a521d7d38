#include "info_connection.hpp"

#include <dualbus/base/socket.hpp>

#include <array>
#include <cerrno>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <system_error>
#include <utility>
#include <vector>

#include <hiredis/hiredis.h>

namespace dualbus::admin {
namespace {

std::string error_text(int error) {
  return std::generic_category().message(error);
}

}  // namespace

void info_connection::reader_deleter::operator()(redisReader* reader) const {
  redisReaderFree(reader);
}

info_connection::info_connection(const config::bus_settings& bus, const stop_signal& stop)
    : bus_(bus), stop_(stop), lookup_(bus.host, bus.port) {}

info_connection::~info_connection() = default;

void info_connection::close() {
  fd_.reset();
  reader_.reset();
}

void info_connection::fail(std::string reason) {
  error_ = std::move(reason);
  close();
}

bool info_connection::open(base::time_point deadline) {
  close();
  error_.clear();
  if (!connect(deadline)) return false;
  reader_.reset(redisReaderCreate());
  if (!reader_) {
    fail("out of memory");
    return false;
  }
  if (!bus_.password.empty()) {
    // With the user's name, as the workers' HELLO has it: a Redis without a password then takes any.
    const auto answer =
        call({"AUTH", bus_.username.empty() ? "default" : bus_.username, bus_.password}, deadline);
    if (!answer) return false;
    if (answer->is_error) {
      fail("AUTH: " + answer->text);
      return false;
    }
  }
  // Only for CLIENT LIST's reader; an ACL may forbid it.
  return call({"CLIENT", "SETNAME", "dualbusd-info"}, deadline).has_value();
}

bool info_connection::connect(base::time_point deadline) {
  if (!bus_.unix_socket.empty()) {
    if (bus_.unix_socket.size() >= sizeof(sockaddr_un::sun_path)) {
      fail("the Unix socket's path is too long");
      return false;
    }
    return finish_connect(base::start_connect_unix(bus_.unix_socket), deadline);
  }
  const std::vector<name_lookup::address> addresses = lookup_.resolve(stop_, deadline);
  if (addresses.empty()) error_ = lookup_.error();
  for (const name_lookup::address& address : addresses) {
    if (finish_connect(base::start_connect(address.get(), address.length), deadline)) {
      base::set_no_delay(fd_.get());
      return true;
    }
  }
  return false;
}

bool info_connection::finish_connect(base::unique_fd fd, base::time_point deadline) {
  if (!fd) {
    fail("connect: " + error_text(errno));
    return false;
  }
  fd_ = std::move(fd);
  if (!wait(POLLOUT, deadline)) {
    error_ = "connect: " + error_;
    return false;
  }
  if (const int error = base::connect_error(fd_.get()); error != 0) {
    fail("connect: " + error_text(error));
    return false;
  }
  return true;
}

std::optional<std::string> info_connection::info(base::time_point deadline) {
  std::optional<reply> answer = call({"INFO", "all"}, deadline);
  if (!answer) {
    error_ = "INFO: " + error_;
    return {};
  }
  if (answer->is_error) {
    fail("INFO: " + answer->text);
    return {};
  }
  return std::move(answer->text);
}

std::optional<info_connection::reply> info_connection::call(std::initializer_list<std::string_view> words,
                                                            base::time_point deadline) {
  std::vector<const char*> starts;
  std::vector<std::size_t> lengths;
  for (const std::string_view word : words) {
    starts.push_back(word.data());
    lengths.push_back(word.size());
  }
  char* bytes = nullptr;
  const int length =
      redisFormatCommandArgv(&bytes, static_cast<int>(words.size()), starts.data(), lengths.data());
  if (length < 0) {
    fail("out of memory");
    return {};
  }
  const bool sent = send_all({bytes, static_cast<std::size_t>(length)}, deadline);
  redisFreeCommand(bytes);
  if (!sent) return {};
  return receive(deadline);
}

bool info_connection::send_all(std::string_view bytes, base::time_point deadline) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    } else if (errno == EAGAIN) {
      if (!wait(POLLOUT, deadline)) return false;
    } else if (errno != EINTR) {
      fail(error_text(errno));
      return false;
    }
  }
  return true;
}

std::optional<info_connection::reply> info_connection::receive(base::time_point deadline) {
  std::array<char, 16 * 1024> buffer;
  std::size_t total = 0;
  for (;;) {
    if (!wait(POLLIN, deadline)) return {};
    const ssize_t got = ::recv(fd_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (got <= 0) {
      fail(got == 0 ? "Redis closed the connection" : error_text(errno));
      return {};
    }
    // What is asked here is answered by one string or error. Anything else, an array above all, is refused
    // before hiredis reserves memory for as many elements as its header claims.
    if (total == 0 && buffer[0] != '+' && buffer[0] != '-' && buffer[0] != '$') {
      fail("the answer is not Redis's");
      return {};
    }
    total += static_cast<std::size_t>(got);
    void* object = nullptr;
    if (total > max_reply_bytes ||
        redisReaderFeed(reader_.get(), buffer.data(), static_cast<std::size_t>(got)) != REDIS_OK ||
        redisReaderGetReply(reader_.get(), &object) != REDIS_OK) {
      fail(total > max_reply_bytes ? "the answer is too long" : "the answer is not Redis's");
      return {};
    }
    if (object == nullptr) continue;
    const auto* answer = static_cast<const redisReply*>(object);
    reply result{answer->type == REDIS_REPLY_ERROR, {}};
    if (answer->str != nullptr) result.text.assign(answer->str, answer->len);
    freeReplyObject(object);
    if (reader_->pos != reader_->len) {
      fail("more was answered than asked");
      return {};
    }
    return result;
  }
}

bool info_connection::wait(short events, base::time_point deadline) {
  switch (stop_.wait(fd_.get(), events, deadline)) {
    case stop_signal::wake::ready:
      return true;
    case stop_signal::wake::timed_out:
      fail("no answer in time");
      return false;
    case stop_signal::wake::stopped:
      fail("the daemon stops");
      return false;
  }
  return false;
}

}  // namespace dualbus::admin
