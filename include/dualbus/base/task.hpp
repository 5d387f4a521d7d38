#pragma once

#include <coroutine>
#include <exception>
#include <optional>
#include <utility>

namespace dualbus::base {

namespace detail {

/// Goes on with whoever awaits the task that has ended.
struct final_awaiter {
  bool await_ready() const noexcept { return false; }
  template <typename Promise>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> ended) const noexcept {
    return ended.promise().continuation ? ended.promise().continuation : std::noop_coroutine();
  }
  void await_resume() const noexcept {}
};

struct promise_base {
  std::suspend_always initial_suspend() const noexcept { return {}; }
  final_awaiter final_suspend() const noexcept { return {}; }
  void unhandled_exception() noexcept { thrown = std::current_exception(); }
  void rethrow() const {
    if (thrown) [[unlikely]]
      std::rethrow_exception(thrown);
  }
  std::coroutine_handle<> continuation;
  std::exception_ptr thrown;
};

template <typename T>
struct promise_value : promise_base {
  void return_value(T v) { value.emplace(std::move(v)); }
  T take() {
    rethrow();
    return std::move(*value);
  }
  std::optional<T> value;
};

template <>
struct promise_value<void> : promise_base {
  void return_void() const noexcept {}
  void take() const { rethrow(); }
};

}  // namespace detail

/// A coroutine that begins when it is awaited (or started), for steps that wait for one another on one
/// thread. The task owns its frame: destroying a task that waits ends it there. An exception that leaves the
/// coroutine goes on in the one that awaits it; if nobody does, finish() throws it.
template <typename T = void>
class [[nodiscard]] task {
 public:
  struct promise_type : detail::promise_value<T> {
    task get_return_object() { return task(std::coroutine_handle<promise_type>::from_promise(*this)); }
  };

  task() = default;
  task(task&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
  task& operator=(task&& other) noexcept {
    std::swap(frame_, other.frame_);
    return *this;
  }
  ~task() {
    if (frame_) frame_.destroy();
  }

  /// Begins a task that nobody awaits; it runs until it first waits.
  void start() { frame_.resume(); }
  bool done() const { return frame_.done(); }
  /// Throws the exception that ended the task, if one did; the task must be done.
  void finish() { frame_.promise().rethrow(); }

  bool await_ready() const noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiting) noexcept {
    frame_.promise().continuation = awaiting;
    return frame_;
  }
  T await_resume() { return frame_.promise().take(); }

 private:
  explicit task(std::coroutine_handle<promise_type> frame) : frame_(frame) {}

  std::coroutine_handle<promise_type> frame_;
};

}  // namespace dualbus::base
