#include <dualbus/base/socket.hpp>

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <system_error>

namespace dualbus::base {
namespace {

[[noreturn]] void fail(int error, const std::string& text) {
  throw std::system_error(error, std::generic_category(), text);
}

struct socket_address {
  sockaddr_storage storage{};
  socklen_t length = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

socket_address numeric_address(const std::string& text, std::uint16_t port) {
  socket_address result;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&result.storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&result.storage);
  if (::inet_pton(AF_INET, text.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    result.length = sizeof *v4;
  } else if (::inet_pton(AF_INET6, text.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    result.length = sizeof *v6;
  } else {
    fail(EINVAL, "listen address '" + text + "' is not a numeric IP address");
  }
  return result;
}

socket_address unix_address(const std::string& path) {
  socket_address result;
  auto* un = reinterpret_cast<sockaddr_un*>(&result.storage);
  if (path.size() >= sizeof un->sun_path) fail(ENAMETOOLONG, "Unix socket '" + path + "'");
  un->sun_family = AF_UNIX;
  std::memcpy(un->sun_path, path.c_str(), path.size() + 1);
  result.length = sizeof *un;
  return result;
}

void set_option(int fd, int level, int option, int value) {
  ::setsockopt(fd, level, option, &value, sizeof value);
}

void set_linger(int fd, bool on) {
  const linger value{on ? 1 : 0, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &value, sizeof value);
}

unique_fd bind_tcp(const socket_address& address, bool shared, const std::string& name) {
  unique_fd fd(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) fail(errno, "socket");
  set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  if (shared) set_option(fd.get(), SOL_SOCKET, SO_REUSEPORT, 1);
  if (address.storage.ss_family == AF_INET6) set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1);
  if (::bind(fd.get(), address.get(), address.length) != 0) fail(errno, "cannot listen on " + name);
  return fd;
}

unique_fd begin_connect(const sockaddr* address, unsigned length) {
  unique_fd fd(::socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return fd;
  if (::connect(fd.get(), address, length) != 0 && errno != EINPROGRESS) {
    const int error = errno;
    fd.reset();
    errno = error;
  }
  return fd;
}

std::string show(const sockaddr_storage& storage) {
  char text[INET6_ADDRSTRLEN] = "";
  if (storage.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(storage);
    ::inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
    return std::string(text) + ":" + std::to_string(ntohs(v4.sin_port));
  }
  if (storage.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(storage);
    ::inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
    return "[" + std::string(text) + "]:" + std::to_string(ntohs(v6.sin6_port));
  }
  return {};
}

std::string name_of(int fd, int (*query)(int, sockaddr*, socklen_t*) noexcept) {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  if (query(fd, reinterpret_cast<sockaddr*>(&storage), &length) != 0) return "?:0";
  if (storage.ss_family != AF_UNIX) return show(storage);
  // A client's end of a Unix socket has no name; both ends show the listener's path, as in Redis.
  length = sizeof storage;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &length);
  return std::string(reinterpret_cast<const sockaddr_un&>(storage).sun_path) + ":0";
}

}  // namespace

unique_fd listen_tcp(const std::string& address, std::uint16_t port, int backlog, bool shared) {
  const socket_address where = numeric_address(address, port);
  const std::string name = address + ":" + std::to_string(port);
  unique_fd fd = bind_tcp(where, shared, name);
  if (::listen(fd.get(), backlog) != 0) fail(errno, "cannot listen on " + name);
  return fd;
}

unique_fd listen_unix(const std::string& path, unsigned mode, int backlog) {
  const socket_address address = unix_address(path);
  struct stat status {};
  if (::lstat(path.c_str(), &status) == 0) {
    if (!S_ISSOCK(status.st_mode))
      fail(EEXIST, "Unix socket '" + path + "': a file that is no socket is there");
    unique_fd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const int error = ::connect(probe.get(), address.get(), address.length) == 0 ? EADDRINUSE : errno;
    // Only ECONNREFUSED says that nobody listens; after any other error, a full backlog or no permission,
    // somebody may.
    if (error != ECONNREFUSED) {
      fail(error == EAGAIN ? EADDRINUSE : error, "cannot listen on Unix socket '" + path + "'");
    }
    ::unlink(path.c_str());
  }
  unique_fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) fail(errno, "socket");
  if (::bind(fd.get(), address.get(), address.length) != 0 || ::chmod(path.c_str(), mode) != 0 ||
      ::listen(fd.get(), backlog) != 0) {
    fail(errno, "cannot listen on Unix socket '" + path + "'");
  }
  return fd;
}

unique_fd start_connect(const sockaddr* address, unsigned length) {
  return begin_connect(address, length);
}

unique_fd start_connect_unix(const std::string& path) {
  if (path.size() >= sizeof sockaddr_un::sun_path) {
    errno = ENAMETOOLONG;
    return {};
  }
  const socket_address address = unix_address(path);
  return begin_connect(address.get(), address.length);
}

int connect_error(int fd) {
  int error = 0;
  socklen_t length = sizeof error;
  return ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 ? error : errno;
}

void set_no_delay(int fd) {
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

void set_keepalive(int fd, std::chrono::seconds idle) {
  if (idle.count() <= 0) return;
  const int seconds = static_cast<int>(idle.count());
  set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, seconds);
  set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, std::max(1, seconds / 3));
  set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
}

void reset_when_closed(int fd) {
  set_linger(fd, true);
}

std::size_t unacknowledged_bytes(int fd) {
  int bytes = 0;
  return ::ioctl(fd, SIOCOUTQ, &bytes) == 0 && bytes > 0 ? static_cast<std::size_t>(bytes) : 0;
}

void set_acknowledge_limit(int fd, std::chrono::milliseconds limit) {
  set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(limit.count()));
}

void close_connection(unique_fd& fd) {
  if (!fd) return;
  if (unacknowledged_bytes(fd.get()) == 0) {
    set_linger(fd.get(), false);
    // A peer that cannot be reached for a while shall hear of the end all the same.
    set_acknowledge_limit(fd.get(), std::chrono::milliseconds(0));
  }
  fd.reset();
}

std::string local_name(int fd) {
  return name_of(fd, ::getsockname);
}

std::string peer_name(int fd) {
  return name_of(fd, ::getpeername);
}

}  // namespace dualbus::base
