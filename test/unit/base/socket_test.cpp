#include <dualbus/base/socket.hpp>

#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <system_error>
#include <unistd.h>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dualbus::base {
namespace {

using testing::HasSubstr;

std::uint16_t port_of(const unique_fd& fd) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &length);
  return ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(address).sin6_port
                                             : reinterpret_cast<sockaddr_in&>(address).sin_port);
}

unique_fd connect_to(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return start_connect(reinterpret_cast<const sockaddr*>(&address), sizeof address);
}

short wait_for(int fd, short events) {
  pollfd entry{fd, events, 0};
  ::poll(&entry, 1, 10'000);
  return entry.revents;
}

template <typename Action>
std::string error_of(Action&& action) {
  try {
    action();
  } catch (const std::system_error& error) {
    return error.what();
  }
  return "no error";
}

class UnixSocketTest : public testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/dualbus-socket-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern), nullptr);
    directory_ = pattern;
    path_ = directory_ + "/listener.sock";
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  std::string directory_, path_;
};

TEST(SocketTest, ConnectsAndNamesBothEnds) {
  const unique_fd listener = listen_tcp("127.0.0.1", 0, 16, false);
  const unique_fd client = connect_to(port_of(listener));
  ASSERT_TRUE(client);
  ASSERT_TRUE(wait_for(client.get(), POLLOUT) & POLLOUT);
  EXPECT_EQ(connect_error(client.get()), 0);
  ASSERT_TRUE(wait_for(listener.get(), POLLIN) & POLLIN);
  const unique_fd server(::accept(listener.get(), nullptr, nullptr));
  ASSERT_TRUE(server);
  EXPECT_EQ(local_name(server.get()), "127.0.0.1:" + std::to_string(port_of(listener)));
  EXPECT_EQ(peer_name(server.get()), local_name(client.get()));
  EXPECT_EQ(peer_name(client.get()), local_name(server.get()));
  EXPECT_EQ(peer_name(listener.get()), "?:0");
}

// A connection and its other end, whose kernel takes few bytes as long as nobody reads them.
struct narrow_connection {
  narrow_connection() {
    const unique_fd listener = listen_tcp("127.0.0.1", 0, 16, false);
    const int few = 4096;
    ::setsockopt(listener.get(), SOL_SOCKET, SO_RCVBUF, &few, sizeof few);
    near = connect_to(port_of(listener));
    wait_for(listener.get(), POLLIN);
    far.reset(::accept(listener.get(), nullptr, nullptr));
    wait_for(near.get(), POLLOUT);
    reset_when_closed(near.get());
  }
  // Everything that reaches the other end, and how it ended there: 0 in order, else errno.
  std::pair<std::size_t, int> read_all() const {
    std::vector<char> room(1 << 16);
    std::size_t bytes = 0;
    for (;;) {
      const ssize_t got = ::recv(far.get(), room.data(), room.size(), 0);
      if (got <= 0) return {bytes, got < 0 ? errno : 0};
      bytes += static_cast<std::size_t>(got);
    }
  }
  unique_fd near, far;
};

TEST(SocketTest, WhatIsNotAcknowledgedNeverArrivesOnceTheConnectionIsClosed) {
  for (const bool by_function : {true, false}) {
    narrow_connection c;
    const std::string bytes(1 << 20, 'x');
    const ssize_t written = ::send(c.near.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    ASSERT_GT(written, 100'000) << "the kernel keeps what the peer does not take";
    ASSERT_GT(unacknowledged_bytes(c.near.get()), 0U);
    by_function ? close_connection(c.near) : c.near.reset();
    ASSERT_FALSE(c.near);
    const auto [arrived, error] = c.read_all();
    EXPECT_LT(arrived, static_cast<std::size_t>(written));
    EXPECT_EQ(error, ECONNRESET);
  }
}

TEST(SocketTest, AConnectionWithEverythingAcknowledgedIsClosedInOrder) {
  narrow_connection c;
  ASSERT_EQ(::send(c.near.get(), "last words", 10, 0), 10);
  for (int i = 0; i < 1000 && unacknowledged_bytes(c.near.get()) > 0; ++i) ::usleep(1000);
  close_connection(c.near);
  const auto [arrived, error] = c.read_all();
  EXPECT_EQ(arrived, 10U);
  EXPECT_EQ(error, 0);
}

TEST(SocketTest, TheKernelCanBeToldHowLongToWaitForAcknowledgement) {
  const narrow_connection c;
  set_acknowledge_limit(c.near.get(), std::chrono::milliseconds(1234));
  int limit = 0;
  socklen_t length = sizeof limit;
  ASSERT_EQ(::getsockopt(c.near.get(), IPPROTO_TCP, TCP_USER_TIMEOUT, &limit, &length), 0);
  EXPECT_EQ(limit, 1234);
}

TEST(SocketTest, ListensOnIpv6) {
  unique_fd listener;
  try {
    listener = listen_tcp("::1", 0, 16, false);
  } catch (const std::system_error& error) {
    if (error.code().value() == EADDRNOTAVAIL || error.code().value() == EAFNOSUPPORT)
      GTEST_SKIP() << error.what();
    throw;
  }
  EXPECT_EQ(local_name(listener.get()), "[::1]:" + std::to_string(port_of(listener)));
}

TEST(SocketTest, APortInUseIsAnErrorThatNamesIt) {
  const unique_fd holder = listen_tcp("127.0.0.1", 0, 16, false);
  const std::uint16_t port = port_of(holder);
  for (const bool shared : {false, true}) {
    const std::string error = error_of([&] { listen_tcp("127.0.0.1", port, 16, shared); });
    EXPECT_THAT(error, HasSubstr("127.0.0.1:" + std::to_string(port)));
    EXPECT_THAT(error, HasSubstr("Address already in use"));
  }
}

TEST(SocketTest, SharedListenersDivideThePort) {
  const unique_fd first = listen_tcp("127.0.0.1", 0, 16, true);
  const unique_fd second = listen_tcp("127.0.0.1", port_of(first), 16, true);
  EXPECT_EQ(port_of(first), port_of(second));
}

TEST(SocketTest, OnlyNumericAddressesAreListenedOn) {
  EXPECT_THAT(error_of([] { listen_tcp("localhost", 0, 16, false); }), HasSubstr("'localhost'"));
  EXPECT_THAT(error_of([] { listen_tcp("256.0.0.1", 0, 16, false); }), HasSubstr("'256.0.0.1'"));
  EXPECT_THAT(error_of([] { listen_tcp("", 0, 16, false); }), HasSubstr("not a numeric IP address"));
}

TEST(SocketTest, ARefusedConnectionLeavesItsReason) {
  std::uint16_t port;
  {
    const unique_fd gone = listen_tcp("127.0.0.1", 0, 16, false);
    port = port_of(gone);
  }
  const unique_fd client = connect_to(port);
  if (client) {
    wait_for(client.get(), POLLOUT);
    EXPECT_EQ(connect_error(client.get()), ECONNREFUSED);
  } else {
    EXPECT_EQ(errno, ECONNREFUSED);
  }
}

TEST(SocketTest, SetsNoDelayAndKeepalive) {
  const unique_fd listener = listen_tcp("127.0.0.1", 0, 16, false);
  const unique_fd client = connect_to(port_of(listener));
  const auto option = [&](int level, int name) {
    int value = -1;
    socklen_t length = sizeof value;
    ::getsockopt(client.get(), level, name, &value, &length);
    return value;
  };
  set_keepalive(client.get(), std::chrono::seconds(0));
  EXPECT_EQ(option(SOL_SOCKET, SO_KEEPALIVE), 0);
  set_no_delay(client.get());
  set_keepalive(client.get(), std::chrono::seconds(30));
  EXPECT_EQ(option(IPPROTO_TCP, TCP_NODELAY), 1);
  EXPECT_EQ(option(SOL_SOCKET, SO_KEEPALIVE), 1);
  EXPECT_EQ(option(IPPROTO_TCP, TCP_KEEPIDLE), 30);
  EXPECT_EQ(option(IPPROTO_TCP, TCP_KEEPINTVL), 10);
  EXPECT_EQ(option(IPPROTO_TCP, TCP_KEEPCNT), 3);
  set_keepalive(client.get(), std::chrono::seconds(1));
  EXPECT_EQ(option(IPPROTO_TCP, TCP_KEEPINTVL), 1);
}

TEST_F(UnixSocketTest, ConnectsAndNamesBothEndsByThePath) {
  const unique_fd listener = listen_unix(path_, 0700, 16);
  const unique_fd client = start_connect_unix(path_);
  ASSERT_TRUE(client);
  const unique_fd server(::accept(listener.get(), nullptr, nullptr));
  ASSERT_TRUE(server);
  EXPECT_EQ(local_name(server.get()), path_ + ":0");
  EXPECT_EQ(peer_name(server.get()), path_ + ":0");
  struct stat status {};
  ASSERT_EQ(::stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0700U);
}

TEST_F(UnixSocketTest, ALiveListenerIsNotReplaced) {
  const unique_fd listener = listen_unix(path_, 0700, 16);
  const std::string error = error_of([&] { listen_unix(path_, 0700, 16); });
  EXPECT_THAT(error, HasSubstr(path_));
  EXPECT_THAT(error, HasSubstr("Address already in use"));
  EXPECT_TRUE(start_connect_unix(path_));
}

TEST_F(UnixSocketTest, AListenerWithAFullBacklogIsNotReplaced) {
  const unique_fd listener = listen_unix(path_, 0700, 1);
  std::vector<unique_fd> waiting;
  for (int i = 0; i < 10; ++i) waiting.push_back(start_connect_unix(path_));
  EXPECT_THAT(error_of([&] { listen_unix(path_, 0700, 16); }), HasSubstr("Address already in use"));
}

TEST_F(UnixSocketTest, ASocketFileThatNobodyListensOnIsReplaced) {
  listen_unix(path_, 0700, 16).reset();
  ASSERT_TRUE(std::filesystem::exists(path_));
  ASSERT_FALSE(start_connect_unix(path_));
  EXPECT_EQ(errno, ECONNREFUSED);
  const unique_fd listener = listen_unix(path_, 0700, 16);
  EXPECT_TRUE(start_connect_unix(path_));
}

TEST_F(UnixSocketTest, AnotherKindOfSocketInUseIsNotReplaced) {
  const unique_fd datagrams(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, path_.c_str());
  ASSERT_EQ(::bind(datagrams.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  EXPECT_THAT(error_of([&] { listen_unix(path_, 0700, 16); }), HasSubstr(path_));
  EXPECT_TRUE(std::filesystem::exists(path_));
}

TEST_F(UnixSocketTest, AFileThatIsNoSocketIsNotReplaced) {
  std::ofstream(path_) << "precious";
  EXPECT_THAT(error_of([&] { listen_unix(path_, 0700, 16); }), HasSubstr("no socket"));
  EXPECT_EQ(std::filesystem::file_size(path_), 8U);
}

TEST_F(UnixSocketTest, APathThatIsTooLongIsAnErrorAndNotCutOff) {
  const std::string path = directory_ + "/" + std::string(200, 'x');
  EXPECT_THAT(error_of([&] { listen_unix(path, 0700, 16); }), HasSubstr("File name too long"));
  EXPECT_FALSE(start_connect_unix(path));
  EXPECT_EQ(errno, ENAMETOOLONG);
}

TEST_F(UnixSocketTest, ConnectingToAMissingSocketLeavesTheReason) {
  EXPECT_FALSE(start_connect_unix(path_));
  EXPECT_EQ(errno, ENOENT);
}

}  // namespace
}  // namespace dualbus::base
