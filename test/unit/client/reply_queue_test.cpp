#include <dualbus/client/reply_queue.hpp>

#include <deque>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dualbus::client {
namespace {

struct reply final : owed_reply {
  reply(base::chunk_pool& pool, int called, bool muted = false) : owed_reply(pool, muted), number(called) {}
  const int number;
};

class ReplyQueueTest : public testing::Test {
 protected:
  reply& owe() {
    reply& made = make();
    queue.owe(made);
    return made;
  }
  reply& make() { return replies.emplace_back(pool, static_cast<int>(replies.size()), queue.mutes()); }

  void finish(reply& which, std::string_view text) {
    queue.target(which).append(text);
    queue.finish(which);
    take();
  }
  void take() {
    while (owed_reply* const finished = queue.take_finished()) {
      taken.push_back(static_cast<reply*>(finished)->number);
    }
  }
  bool answer(std::string_view text) {
    base::chunk_queue* const out = queue.begin_answer([this]() -> owed_reply* { return &make(); });
    if (out != nullptr) out->append(text);
    queue.end_answer();
    return out != nullptr;
  }
  std::string written() {
    std::string all;
    iovec vectors[16];
    while (!queue.out().empty()) {
      const int count = queue.out().gather(vectors, 16);
      for (int i = 0; i < count; ++i) {
        all.append(static_cast<const char*>(vectors[i].iov_base), vectors[i].iov_len);
        queue.out().consume(vectors[i].iov_len);
      }
    }
    return all;
  }

  base::chunk_pool pool{256, 4};
  std::deque<reply> replies;
  reply_queue queue{pool};
  std::vector<int> taken;
};

TEST_F(ReplyQueueTest, OwesNothingAtFirst) {
  EXPECT_TRUE(queue.idle());
  EXPECT_EQ(queue.oldest(), nullptr);
  EXPECT_EQ(queue.newest(), nullptr);
  EXPECT_EQ(queue.take_finished(), nullptr);
  EXPECT_EQ(queue.first_deferred(), nullptr);
}

TEST_F(ReplyQueueTest, GivesRepliesInTheOrderOfRequestsWhicheverComesFirst) {
  reply &a = owe(), &b = owe(), &c = owe();
  EXPECT_EQ(queue.owed(), 3U);
  finish(c, "c");
  EXPECT_EQ(queue.waiting_bytes(), 1U);
  EXPECT_EQ(written(), "");
  finish(a, "a");
  EXPECT_EQ(written(), "a");
  EXPECT_EQ(queue.oldest(), &b);
  finish(b, "b");
  EXPECT_EQ(written(), "bc");
  EXPECT_EQ(taken, (std::vector{0, 1, 2}));
  EXPECT_TRUE(queue.idle());
  EXPECT_EQ(queue.waiting_bytes(), 0U);
}

TEST_F(ReplyQueueTest, AnswersAtOnceIfNothingIsOwed) {
  EXPECT_TRUE(answer("x"));
  EXPECT_TRUE(replies.empty());
  EXPECT_EQ(written(), "x");
}

TEST_F(ReplyQueueTest, AnAnswerAtOnceWaitsForOthers) {
  reply& a = owe();
  EXPECT_TRUE(answer("x"));
  EXPECT_EQ(written(), "");
  finish(a, "a");
  EXPECT_EQ(written(), "ax");
  EXPECT_EQ(taken, (std::vector{0, 1}));
}

TEST_F(ReplyQueueTest, AnAnswerCanGoToAPlaceThatWasTakenBefore) {
  reply &a = owe(), &place = owe(), &c = owe();
  finish(c, "c");
  queue.answer_next_at(place);
  EXPECT_TRUE(answer("p"));
  EXPECT_TRUE(answer("y"));
  finish(a, "a");
  EXPECT_EQ(written(), "apcy");
}

TEST_F(ReplyQueueTest, APlaceCanBeTakenForAReplyThatIsDeferred) {
  reply &a = owe(), &place = owe();
  queue.answer_next_at(place);
  EXPECT_EQ(queue.take_place(), &place);
  EXPECT_EQ(queue.take_place(), nullptr);
  queue.defer(place);
  EXPECT_EQ(queue.first_deferred(), &place);
  queue.begin_deferred(place).append("p");
  EXPECT_EQ(queue.first_deferred(), nullptr);
  queue.finish(place);
  finish(a, "a");
  EXPECT_EQ(written(), "ap");
}

TEST_F(ReplyQueueTest, WhatIsDeferredIsCompletedInOrder) {
  owe();
  reply &b = owe(), &c = owe();
  queue.defer(c);
  queue.defer(b);
  EXPECT_EQ(queue.first_deferred(), &b);
  queue.begin_deferred(b).append("b");
  EXPECT_EQ(queue.first_deferred(), &c);
}

TEST_F(ReplyQueueTest, ADroppedPlaceSaysNothing) {
  reply &a = owe(), &place = owe(), &c = owe();
  queue.mute(a, place);
  queue.drop(place);
  finish(a, "a");
  EXPECT_EQ(taken, (std::vector{0, 1}));
  finish(c, "c");
  EXPECT_EQ(written(), "ac");
}

TEST_F(ReplyQueueTest, MutedRepliesAreNotSent) {
  reply &a = owe(), &b = owe(), &c = owe(), &d = owe();
  finish(b, "done before");
  queue.mute(a, c);
  EXPECT_EQ(queue.waiting_bytes(), 0U);
  finish(c, "comes later");
  finish(a, "a");
  finish(d, "d");
  EXPECT_EQ(written(), "ad");
  EXPECT_EQ(queue.waiting_bytes(), 0U);
}

TEST_F(ReplyQueueTest, OneThatIsMutedWhileItIsTheOldestIsNotSent) {
  reply& a = owe();
  queue.mute(a);
  finish(a, "a");
  EXPECT_EQ(written(), "");
  EXPECT_EQ(taken, (std::vector{0}));
}

TEST_F(ReplyQueueTest, OffSilencesWhatComesFromThenOn) {
  reply& a = owe();
  queue.set_mode(reply_queue::mode::off);
  EXPECT_FALSE(answer("x"));
  queue.next_request();
  reply& b = owe();
  queue.next_request();
  queue.set_mode(reply_queue::mode::on);
  EXPECT_TRUE(answer("y"));
  finish(b, "b");
  finish(a, "a");
  EXPECT_EQ(written(), "ay");
}

TEST_F(ReplyQueueTest, SkipMeansTheNextRequestOnly) {
  queue.set_mode(reply_queue::mode::skip_next);
  queue.next_request();
  EXPECT_TRUE(queue.mutes());
  EXPECT_FALSE(answer("skipped"));
  queue.next_request();
  EXPECT_TRUE(answer("x"));
  EXPECT_EQ(written(), "x");
}

TEST_F(ReplyQueueTest, ResetEndsOffButNotTheSkippingOfItself) {
  queue.set_mode(reply_queue::mode::off);
  queue.reset_mode();
  EXPECT_FALSE(queue.mutes());
  queue.set_mode(reply_queue::mode::skip_next);
  queue.next_request();
  queue.reset_mode();
  EXPECT_TRUE(queue.mutes());
}

TEST_F(ReplyQueueTest, MessagesStandBetweenReplies) {
  reply& a = owe();
  queue.push('>', "m");
  EXPECT_EQ(written(), ">m");
  finish(a, "a");
  EXPECT_EQ(written(), "a");
}

TEST_F(ReplyQueueTest, MessagesWaitForTheReplyThatHoldsThem) {
  reply &a = owe(), &b = owe();
  queue.hold_pushes_behind_newest();
  queue.hold_pushes_behind_newest();
  queue.push('>', "1");
  EXPECT_EQ(queue.waiting_bytes(), 2U);
  reply& c = owe();
  queue.hold_pushes_behind_newest();
  queue.push('>', "2");
  finish(a, "a");
  EXPECT_EQ(written(), "a");
  finish(b, "b");
  EXPECT_EQ(written(), "b>1");
  finish(c, "c");
  EXPECT_EQ(written(), "c>2");
  queue.push('>', "3");
  EXPECT_EQ(written(), ">3");
  EXPECT_EQ(queue.waiting_bytes(), 0U);
}

TEST_F(ReplyQueueTest, NothingHoldsMessagesIfNothingIsOwed) {
  queue.hold_pushes_behind_newest();
  queue.push('*', "m");
  EXPECT_EQ(written(), "*m");
}

TEST_F(ReplyQueueTest, CountsWhatIsKeptUntilItIsForgottenOrFinished) {
  reply &a = owe(), &b = owe();
  queue.keep(a, 10);
  queue.keep(b, 5);
  queue.keep(b, 1);
  EXPECT_EQ(queue.kept_bytes(), 16U);
  EXPECT_EQ(queue.forget_kept(a), 10U);
  EXPECT_EQ(queue.forget_kept(a), 0U);
  EXPECT_EQ(queue.finish(b), 6U);
  EXPECT_EQ(queue.kept_bytes(), 0U);
}

TEST_F(ReplyQueueTest, AcknowledgementsMayWaitForTheReplyToExec) {
  queue.begin_acknowledging();
  answer("+OK");
  EXPECT_TRUE(queue.only_acknowledged());
  EXPECT_FALSE(queue.may_wait());
  reply& exec = owe();
  EXPECT_FALSE(queue.may_wait());
  exec.hold_output_back();
  EXPECT_TRUE(queue.may_wait());
  EXPECT_TRUE(queue.only_acknowledged());
  owe();
  EXPECT_FALSE(queue.only_acknowledged());
}

TEST_F(ReplyQueueTest, ButNotWithSomethingElseInTheOutput) {
  answer("x");
  queue.begin_acknowledging();
  owe().hold_output_back();
  EXPECT_FALSE(queue.may_wait());
}

TEST_F(ReplyQueueTest, NorWithAMessage) {
  queue.begin_acknowledging();
  owe().hold_output_back();
  queue.push('>', "m");
  EXPECT_FALSE(queue.may_wait());
}

TEST_F(ReplyQueueTest, NorWithAMessageThatIsHeldBack) {
  queue.begin_acknowledging();
  owe().hold_output_back();
  queue.hold_pushes_behind_newest();
  queue.push('>', "m");
  EXPECT_FALSE(queue.may_wait());
}

TEST_F(ReplyQueueTest, CloseHandsOutWhatIsOwedAndEmptiesTheOutput) {
  reply &a = owe(), &b = owe();
  finish(b, "b");
  answer("x");
  queue.keep(a, 7);
  queue.hold_pushes_behind_newest();
  queue.push('>', "m");
  std::vector<std::pair<int, bool>> left;
  queue.close([&](owed_reply& r, bool done) { left.emplace_back(static_cast<reply&>(r).number, done); });
  EXPECT_EQ(left, (std::vector<std::pair<int, bool>>{{0, false}, {1, true}, {2, true}}));
  EXPECT_TRUE(queue.idle());
  EXPECT_EQ(queue.owed(), 0U);
  EXPECT_EQ(queue.waiting_bytes() + queue.kept_bytes(), 0U);
  EXPECT_FALSE(answer("y"));
  EXPECT_EQ(written(), "");
}

}  // namespace
}  // namespace dualbus::client
