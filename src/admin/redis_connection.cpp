#include "redis_connection.hpp"

#include <dualbus/backend/refusal_text.hpp>
#include <dualbus/base/socket.hpp>
#include <dualbus/resp/reply_reader.hpp>

#include <cerrno>
#include <new>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <system_error>
#include <utility>
#include <vector>

#include <hiredis/hiredis.h>

namespace dualbus::admin {
namespace {

constexpr std::string_view not_redis = "the answer is not Redis's";

// If a reply was longer, its memory is given back.
constexpr std::size_t kept_bytes = 1 << 20;

std::string error_text(int error) {
  return std::generic_category().message(error);
}

}  // namespace

void request_batch::add(std::initializer_list<std::string_view> words) {
  std::vector<const char*> starts;
  std::vector<std::size_t> lengths;
  for (const std::string_view word : words) {
    starts.push_back(word.data());
    lengths.push_back(word.size());
  }
  char* bytes = nullptr;
  const int length =
      redisFormatCommandArgv(&bytes, static_cast<int>(words.size()), starts.data(), lengths.data());
  if (length < 0) throw std::bad_alloc();
  bytes_.append(bytes, static_cast<std::size_t>(length));
  redisFreeCommand(bytes);
  ++size_;
}

redis_connection::redis_connection(const config::bus_settings& bus, const stop_signal& stop, options wanted)
    : bus_(bus), stop_(stop), options_(wanted), lookup_(bus.host, bus.port) {}

redis_connection::~redis_connection() {
  close();
}

void redis_connection::close() {
  base::close_connection(fd_);
  received_ = std::string();
  passed_on_ = outstanding_ = 0;
}

void redis_connection::fail(std::string reason) {
  error_ = std::move(reason);
  close();
}

bool redis_connection::open(base::time_point deadline) {
  close();
  error_.clear();
  timed_out_ = false;
  return connect(deadline) && log_in(deadline);
}

bool redis_connection::log_in(base::time_point deadline) {
  const auto refused = [this](std::string_view command, const std::optional<std::string_view>& reply) {
    if (!reply) return true;
    const resp::reply_value value = resp::reply_reader(*reply).next();
    if (value.is_error()) fail(std::string(command) + ": " + std::string(backend::refusal_text(value.text)));
    return value.is_error();
  };
  if (!bus_.password.empty()) {
    // The user is named, as in the workers' HELLO: a Redis without a password then takes any password.
    const std::string_view user = bus_.username.empty() ? "default" : std::string_view(bus_.username);
    if (refused("AUTH", ask({"AUTH", user, bus_.password}, deadline, scalars))) return false;
  }
  if (options_.select_database && bus_.database != 0) {
    if (refused("SELECT", ask({"SELECT", std::to_string(bus_.database)}, deadline, scalars))) return false;
  }
  // The name is only for the reader of CLIENT LIST; an ACL may forbid it.
  return ask({"CLIENT", "SETNAME", options_.name}, deadline, scalars).has_value();
}

bool redis_connection::connect(base::time_point deadline) {
  if (!bus_.has_address()) {
    fail("its Sentinels have not named a master yet");
    return false;
  }
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

bool redis_connection::finish_connect(base::unique_fd fd, base::time_point deadline) {
  if (!fd) {
    fail("connect: " + error_text(errno));
    return false;
  }
  fd_ = std::move(fd);
  base::reset_when_closed(fd_.get());
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

bool redis_connection::send(const request_batch& requests, base::time_point deadline) {
  outstanding_ += requests.size();
  for (std::string_view bytes = requests.bytes(); !bytes.empty();) {
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

std::optional<std::string_view> redis_connection::receive(base::time_point deadline, std::string_view types) {
  received_.erase(0, std::exchange(passed_on_, 0));
  if (received_.empty() && received_.capacity() > kept_bytes) received_ = std::string();
  resp::reply_scanner scanner;
  for (;;) {
    const bool refused =
        !received_.empty() && !types.empty() && types.find(received_[0]) == std::string_view::npos;
    const resp::scan_status status = refused ? resp::scan_status::error : scanner.scan(received_);
    // A push is no answer, and nothing here asks for one.
    if (status == resp::scan_status::error || scanner.type() == '>') {
      fail(std::string(not_redis));
      return {};
    }
    if (status == resp::scan_status::complete) break;
    if (received_.size() > options_.max_reply_bytes) {
      fail("the answer is too long");
      return {};
    }
    if (!wait(POLLIN, deadline)) return {};
    constexpr std::size_t block = 16 * 1024;
    const std::size_t before = received_.size();
    received_.resize(before + block);
    const ssize_t got = ::recv(fd_.get(), received_.data() + before, block, MSG_DONTWAIT);
    received_.resize(before + static_cast<std::size_t>(got > 0 ? got : 0));
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (got <= 0) {
      fail(got == 0 ? "Redis closed the connection" : error_text(errno));
      return {};
    }
  }
  --outstanding_;
  passed_on_ = scanner.consumed();
  if (outstanding_ == 0 && passed_on_ != received_.size()) {
    fail("more was answered than asked");
    return {};
  }
  return std::string_view(received_).substr(0, passed_on_);
}

std::optional<std::string_view> redis_connection::ask(std::initializer_list<std::string_view> words,
                                                      base::time_point deadline, std::string_view types) {
  request_batch one;
  one.add(words);
  if (!send(one, deadline)) return {};
  return receive(deadline, types);
}

bool redis_connection::drop_received() {
  constexpr int most_reads = 4;  // the rest at the next call: no peer keeps the thread busy
  char bytes[16 * 1024];
  for (int i = 0; i < most_reads; ++i) {
    const ssize_t got = ::recv(fd_.get(), bytes, sizeof bytes, MSG_DONTWAIT);
    if (got > 0 || (got < 0 && errno == EINTR)) continue;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return true;
    fail(got == 0 ? "the server closed the connection" : error_text(errno));
    return false;
  }
  return true;
}

bool redis_connection::wait(short events, base::time_point deadline) {
  switch (stop_.wait(fd_.get(), events, deadline)) {
    case stop_signal::wake::ready:
      return true;
    case stop_signal::wake::timed_out:
      fail("no answer in time");
      timed_out_ = true;
      return false;
    case stop_signal::wake::stopped:
      fail("the daemon stops");
      return false;
  }
  return false;
}

}  // namespace dualbus::admin
