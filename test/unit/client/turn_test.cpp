#include <dualbus/client/turn.hpp>

#include <functional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dualbus::client {
namespace {

using testing::ElementsAre;

class TurnTest : public testing::Test {
 protected:
  struct fake final : turn::member {
    fake(TurnTest& told, std::string called) : test(told), name(std::move(called)) {}
    void flush() override {
      test.events.push_back("flush " + name);
      if (on_flush) on_flush();
    }
    void resume() override {
      test.events.push_back("resume " + name);
      if (on_resume) on_resume();
    }
    void begin_next_share() override { test.events.push_back("share " + name); }

    TurnTest& test;
    std::string name;
    std::function<void()> on_flush, on_resume;
    bool ended = false;
  };
  static bool has_ended(const turn::member& client) { return static_cast<const fake&>(client).ended; }

  turn present;
  std::vector<std::string> events;
  fake a{*this, "a"}, b{*this, "b"}, c{*this, "c"};
};

TEST_F(TurnTest, EachHasANumberAndATime) {
  const auto before = present.now;
  present.begin();
  EXPECT_EQ(present.number, 1U);
  EXPECT_GE(present.now, before);
  present.begin();
  EXPECT_EQ(present.number, 2U);
}

TEST_F(TurnTest, FlushesEachOnceAndAlsoThoseWhoComeMeanwhile) {
  a.on_flush = [this] { present.flush_later(c); };
  present.flush_later(a);
  present.flush_later(b);
  present.flush_all();
  EXPECT_THAT(events, ElementsAre("flush a", "flush b", "flush c"));
  events.clear();
  present.flush_all();
  EXPECT_TRUE(events.empty());
}

TEST_F(TurnTest, ThoseWhoWantToResumeMeanwhileComeNextTime) {
  a.on_resume = [this] { present.resume_later(a); };
  present.resume_later(a);
  present.resume_later(b);
  present.resume_all();
  EXPECT_THAT(events, ElementsAre("resume a", "resume b"));
  EXPECT_TRUE(present.wants_to_resume());
  a.on_resume = nullptr;
  present.resume_all();
  EXPECT_THAT(events, ElementsAre("resume a", "resume b", "resume a"));
  EXPECT_FALSE(present.wants_to_resume());
}

TEST_F(TurnTest, ForgetsThoseWhoHaveEnded) {
  for (fake* client : {&a, &b}) {
    present.flush_later(*client);
    present.resume_later(*client);
  }
  a.ended = true;
  present.forget_if(has_ended);
  present.resume_all();
  present.flush_all();
  EXPECT_THAT(events, ElementsAre("resume b", "flush b"));
}

TEST_F(TurnTest, ThoseWithMoreThanAShareGoOnInTheNextTurn) {
  present.begin();
  present.go_on_next_turn(a);
  EXPECT_TRUE(present.has_leftover());
  present.share_out();
  EXPECT_TRUE(events.empty()) << "not in the same turn";
  present.begin();
  present.share_out();
  EXPECT_THAT(events, ElementsAre("share a"));
  EXPECT_FALSE(present.has_leftover());
}

TEST_F(TurnTest, AFewGoOnInEachTurnInTheOrderInWhichTheyCame) {
  fake d{*this, "d"};
  for (fake* client : {&a, &b, &c, &d}) present.go_on_next_turn(*client);
  present.begin();
  present.share_out();
  EXPECT_THAT(events, ElementsAre("share a", "share b"));
  present.go_on_next_turn(a);
  present.begin();
  present.share_out();
  EXPECT_THAT(events, ElementsAre("share a", "share b", "share c", "share d"));
  present.begin();
  present.share_out();
  EXPECT_EQ(events.back(), "share a");
}

TEST_F(TurnTest, OneThatHasEndedTakesNobodysShare) {
  for (fake* client : {&a, &b, &c}) present.go_on_next_turn(*client);
  present.forget_leftover(a);
  present.begin();
  present.share_out();
  EXPECT_THAT(events, ElementsAre("share b", "share c"));
}

}  // namespace
}  // namespace dualbus::client
