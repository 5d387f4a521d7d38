#include <dualbus/base/poller.hpp>

#include <functional>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace dualbus::base {
namespace {

struct recording_handler : io_handler {
  void on_readable() override {
    events += 'r';
    if (readable) readable();
  }
  void on_writable() override {
    events += 'w';
    if (writable) writable();
  }
  void on_hangup(bool both_directions) override { events += both_directions ? 'h' : 'e'; }
  std::string events;
  std::function<void()> readable, writable;
};

struct socket_pair {
  socket_pair() {
    int fds[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0) {
      ours.reset(fds[0]);
      theirs.reset(fds[1]);
    }
  }
  void say(std::string_view text) const {
    ASSERT_EQ(::send(theirs.get(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
  }
  unique_fd ours, theirs;
};

// Serves what is there now, and says how much that was.
int serve(poller& p) {
  p.wait({});
  return p.dispatch();
}

TEST(PollerTest, TellsOnlyWhatWasAskedFor) {
  poller p;
  socket_pair pair;
  recording_handler handler;
  p.add(pair.ours.get(), handler, {.read = true});
  EXPECT_EQ(serve(p), 0);
  pair.say("x");
  EXPECT_EQ(serve(p), 1);
  EXPECT_EQ(handler.events, "r");
  p.modify(pair.ours.get(), handler, {.write = true});
  EXPECT_EQ(serve(p), 1);
  EXPECT_EQ(handler.events, "rw");
  p.modify(pair.ours.get(), handler, {});
  EXPECT_EQ(serve(p), 0);
  p.remove(pair.ours.get(), handler);
}

TEST(PollerTest, TellsAgainUntilTheBytesAreRead) {
  poller p;
  socket_pair pair;
  recording_handler handler;
  p.add(pair.ours.get(), handler, {.read = true});
  pair.say("ab");
  serve(p);
  serve(p);
  EXPECT_EQ(handler.events, "rr");
  char bytes[8];
  ASSERT_EQ(::recv(pair.ours.get(), bytes, sizeof bytes, 0), 2);
  EXPECT_EQ(serve(p), 0);
}

TEST(PollerTest, WritingComesBeforeReading) {
  poller p;
  socket_pair pair;
  recording_handler handler;
  p.add(pair.ours.get(), handler, {.read = true, .write = true});
  pair.say("x");
  serve(p);
  EXPECT_EQ(handler.events, "wr");
}

TEST(PollerTest, AHalfCloseIsReportedWhenNobodyReadsIfAskedFor) {
  poller p;
  socket_pair pair;
  recording_handler handler;
  p.add(pair.ours.get(), handler, {.half_close = false});
  ::shutdown(pair.theirs.get(), SHUT_WR);
  EXPECT_EQ(serve(p), 0);
  p.modify(pair.ours.get(), handler, {.half_close = true});
  EXPECT_EQ(serve(p), 1);
  EXPECT_EQ(handler.events, "e");
  p.modify(pair.ours.get(), handler, {.read = true});
  EXPECT_EQ(serve(p), 1);
  EXPECT_EQ(handler.events, "er");
}

TEST(PollerTest, AHangupIsReportedWhenNobodyReads) {
  poller p;
  socket_pair pair;
  recording_handler handler;
  p.add(pair.ours.get(), handler, {.half_close = false});
  pair.theirs.reset();
  EXPECT_EQ(serve(p), 1);
  EXPECT_EQ(handler.events, "h");
}

TEST(PollerTest, AReaderFindsTheHangupItself) {
  poller p;
  socket_pair pair;
  recording_handler handler;
  p.add(pair.ours.get(), handler, {.read = true});
  pair.say("last words");
  pair.theirs.reset();
  serve(p);
  EXPECT_EQ(handler.events, "r");
}

TEST(PollerTest, AHandlerRemovedDuringADispatchIsNotCalledAnyMore) {
  poller p;
  socket_pair pairs[8];
  recording_handler handlers[8];
  int calls = 0;
  for (int i = 0; i < 8; ++i) {
    p.add(pairs[i].ours.get(), handlers[i], {.read = true, .write = true});
    pairs[i].say("x");
    // The first handler removes all, itself included.
    handlers[i].writable = [&] {
      ++calls;
      for (int k = 0; k < 8; ++k) p.remove(pairs[k].ours.get(), handlers[k]);
    };
  }
  EXPECT_EQ(serve(p), 8);
  EXPECT_EQ(calls, 1);
  std::string all;
  for (const auto& handler : handlers) all += handler.events;
  EXPECT_EQ(all, "w");
  EXPECT_EQ(serve(p), 0);
}

TEST(PollerTest, ADescriptorAddedDuringADispatchIsServedByTheNextOne) {
  poller p;
  socket_pair first, second;
  recording_handler one, two;
  one.readable = [&] {
    p.remove(first.ours.get(), one);
    p.add(second.ours.get(), two, {.read = true});
  };
  p.add(first.ours.get(), one, {.read = true});
  first.say("x");
  second.say("y");
  EXPECT_EQ(serve(p), 1);
  EXPECT_EQ(two.events, "");
  EXPECT_EQ(serve(p), 1);
  EXPECT_EQ(two.events, "r");
}

TEST(PollerTest, ServesMoreDescriptorsThanFitIntoOneBatch) {
  poller p;
  std::vector<socket_pair> pairs(400);
  std::vector<recording_handler> handlers(400);
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    ASSERT_TRUE(pairs[i].ours);
    p.add(pairs[i].ours.get(), handlers[i], {.read = true});
    handlers[i].readable = [&, i] {
      char byte;
      ASSERT_EQ(::recv(pairs[i].ours.get(), &byte, 1, 0), 1);
    };
    pairs[i].say("x");
  }
  int served = 0;
  while (const int count = serve(p)) served += count;
  EXPECT_EQ(served, 400);
  for (const auto& handler : handlers) EXPECT_EQ(handler.events, "r");
}

TEST(PollerTest, ASharedListenerWakesEachPollerThatHasIt) {
  poller p;
  socket_pair pair;
  recording_handler handler;
  p.add_shared_listener(pair.ours.get(), handler);
  pair.say("x");
  EXPECT_EQ(serve(p), 1);
  EXPECT_EQ(handler.events, "r");
}

TEST(PollerTest, WaitsUntilSomethingIsReady) {
  poller p;
  socket_pair pair;
  recording_handler handler;
  p.add(pair.ours.get(), handler, {.read = true});
  std::jthread speaker([&pair] { pair.say("x"); });
  p.wait(std::chrono::minutes(1));
  EXPECT_EQ(p.dispatch(), 1);
  EXPECT_EQ(handler.events, "r");
  p.remove(pair.ours.get(), handler);
}

TEST(PollerTest, WaitsNoLongerThanItMayAndNotLess) {
  poller p;
  for (const auto longest : {std::chrono::microseconds(300), std::chrono::microseconds(2500)}) {
    const time_point begun = clock::now();
    p.wait(longest);
    EXPECT_GE(clock::now() - begun, longest);
    EXPECT_EQ(p.dispatch(), 0);
  }
  p.wait(std::chrono::seconds(-5));
  EXPECT_EQ(p.dispatch(), 0);
}

TEST(PollerTest, EventsAreDispatchedOnce) {
  poller p;
  socket_pair pair;
  recording_handler handler;
  p.add(pair.ours.get(), handler, {.read = true});
  pair.say("x");
  EXPECT_EQ(serve(p), 1);
  EXPECT_EQ(p.dispatch(), 0);
  p.remove(pair.ours.get(), handler);
}

}  // namespace
}  // namespace dualbus::base
