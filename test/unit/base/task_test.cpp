#include <dualbus/base/task.hpp>

#include <new>
#include <optional>
#include <stdexcept>
#include <string>

#include <gtest/gtest.h>

namespace dualbus::base {
namespace {

struct pause {
  std::coroutine_handle<>& waiting;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle) noexcept { waiting = handle; }
  void await_resume() const noexcept {}
};

struct TaskTest : testing::Test {
  std::coroutine_handle<> waiting;
  std::string log;

  task<int> number(bool fails) {
    co_await pause{waiting};
    if (fails) throw std::bad_alloc();
    co_return 7;
  }
  task<> outer(bool fails) {
    log += "begin ";
    log += std::to_string(co_await number(fails));
    log += " end";
  }
  task<> careful() {
    try {
      co_await number(true);
    } catch (const std::bad_alloc&) {
      log += "caught";
    }
  }
};

TEST_F(TaskTest, BeginsWhenItIsToldAndGoesOnWhenItIsResumed) {
  task<> t = outer(false);
  EXPECT_EQ(log, "");
  t.start();
  EXPECT_EQ(log, "begin ");
  EXPECT_FALSE(t.done());
  waiting.resume();
  EXPECT_TRUE(t.done());
  EXPECT_EQ(log, "begin 7 end");
  EXPECT_NO_THROW(t.finish());
}

TEST_F(TaskTest, AnExceptionEndsAllTasksThatWaitForOneAnother) {
  task<> t = outer(true);
  t.start();
  waiting.resume();
  ASSERT_TRUE(t.done());
  EXPECT_EQ(log, "begin ");
  EXPECT_THROW(t.finish(), std::bad_alloc);
}

TEST_F(TaskTest, WhoAwaitsATaskMayCatchWhatLeavesIt) {
  task<> t = careful();
  t.start();
  waiting.resume();
  EXPECT_TRUE(t.done());
  EXPECT_EQ(log, "caught");
  EXPECT_NO_THROW(t.finish());
}

TEST_F(TaskTest, DestroyingATaskThatWaitsEndsItThere) {
  std::optional<task<>> t = outer(false);
  t->start();
  t.reset();
  EXPECT_EQ(log, "begin ");
}

}  // namespace
}  // namespace dualbus::base
