#include "app/hand_over_wire.hpp"

#include <chrono>
#include <poll.h>
#include <random>
#include <string>
#include <sys/socket.h>
#include <unistd.h>

#include <gtest/gtest.h>

namespace dualbus::app::hand_over {
namespace {

using namespace std::chrono_literals;

struct ends {
  ends() {
    int fds[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    raw = fds[0];
    end.emplace(base::unique_fd(fds[1]));
  }
  ~ends() { ::close(raw); }
  void send_raw(std::string_view bytes) const {
    EXPECT_EQ(::send(raw, bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  }
  int raw;
  std::optional<channel> end;
};

// H7
TEST(HandOverWireTest, AGreetingTellsTheVersions) {
  const auto said = parse_greeting("welcome", greeting_line("welcome"));
  ASSERT_TRUE(said);
  EXPECT_EQ(said->protocol, protocol_version);
  EXPECT_EQ(said->state, 1U);
  EXPECT_FALSE(parse_greeting("welcome", greeting_line("dualbus take-over")));
  EXPECT_FALSE(parse_greeting("welcome", "welcome protocol=1 daemon=2\n"));
}

TEST(HandOverWireTest, FramesAndDescriptorsArriveTogether) {
  int fds[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
  channel one{base::unique_fd(fds[0])}, two{base::unique_fd(fds[1])};
  int pipe_ends[2];
  ASSERT_EQ(::pipe(pipe_ends), 0);
  for (std::uint32_t i = 0; i < 20; ++i)
    ASSERT_TRUE(one.send(kind::offer, i, std::string(i * 100, 'x'), i % 2 == 0 ? pipe_ends[1] : -1));
  for (std::uint32_t i = 0; i < 20; ++i) {
    frame next;
    ASSERT_EQ(two.receive(next, 1s), channel::result::done);
    EXPECT_EQ(next.number, i);
    EXPECT_EQ(next.bytes.size(), i * 100);
    EXPECT_EQ(static_cast<bool>(next.fd), i % 2 == 0);
    if (next.fd) {
      EXPECT_EQ(::write(next.fd.get(), "!", 1), 1);
    }
  }
  char room[64];
  EXPECT_EQ(::read(pipe_ends[0], room, sizeof room), 10);
  ::close(pipe_ends[0]);
  ::close(pipe_ends[1]);
}

// H5: an offer that stayed there would keep its client's connection open, with nobody to serve it.
TEST(HandOverWireTest, WhatWasSentBeforeTheEndArrivesThoughNothingCanBeAnswered) {
  int fds[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
  channel two{base::unique_fd(fds[1])};
  {
    channel one{base::unique_fd(fds[0])};
    for (std::uint32_t i = 0; i < 3; ++i) ASSERT_TRUE(one.send(kind::offer, i, "state", STDERR_FILENO));
    ASSERT_TRUE(two.send(kind::taken, 7));  // and is never read
  }
  EXPECT_FALSE(two.send(kind::taken, 8));
  frame next;
  for (std::uint32_t i = 0; i < 3; ++i) {
    ASSERT_EQ(two.receive(next, 1s), channel::result::done) << two.problem();
    EXPECT_EQ(next.number, i);
    EXPECT_TRUE(next.fd);
  }
  EXPECT_EQ(two.receive(next, 1s), channel::result::ended);
}

TEST(HandOverWireTest, DescriptorsOnTheirWayAreClosedWithTheChannel) {
  int fds[2], pipe_ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
  ASSERT_EQ(::pipe(pipe_ends), 0);
  channel two{base::unique_fd(fds[1])};
  {
    channel one{base::unique_fd(fds[0])};
    ASSERT_TRUE(one.send(kind::offer, 1, "state", pipe_ends[1]));
    ASSERT_TRUE(one.send(kind::offer, 2, "state", pipe_ends[1]));
    frame next;
    ASSERT_EQ(two.receive(next, 1s), channel::result::done);
    ASSERT_TRUE(one.send(kind::offer, 3, "state", pipe_ends[1]));
  }
  ::close(pipe_ends[1]);
  two.close();
  char byte;
  pollfd state{pipe_ends[0], POLLIN, 0};
  ASSERT_EQ(::poll(&state, 1, 1000), 1) << "somebody still has its other end";
  EXPECT_EQ(::read(pipe_ends[0], &byte, 1), 0);
  ::close(pipe_ends[0]);
}

TEST(HandOverWireTest, NoBytesAreTooOddForAChannel) {
  std::mt19937 random(2);
  for (int i = 0; i < 2000; ++i) {
    ends pair;
    std::string bytes(1 + random() % 200, '\0');
    for (char& c : bytes) c = static_cast<char>(random() % 16);
    pair.send_raw(bytes);
    ::shutdown(pair.raw, SHUT_WR);
    frame next;
    int frames = 0;
    while (pair.end->receive(next, 1s) == channel::result::done) ++frames;
    EXPECT_LE(frames, 200);
    EXPECT_NE(pair.end->problem(), "");
  }
}

TEST(HandOverWireTest, WhoeverSaysNothingIsNotWaitedForLong) {
  ends pair;
  std::string line;
  EXPECT_EQ(pair.end->receive_line(line, 10ms), channel::result::nothing);
  pair.send_raw(std::string(1000, 'x'));
  EXPECT_EQ(pair.end->receive_line(line, 1s), channel::result::ended);
}

}  // namespace
}  // namespace dualbus::app::hand_over
