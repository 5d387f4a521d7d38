#pragma once

#include "worker_bench.hpp"

#include <functional>
#include <memory>
#include <string_view>
#include <utility>

namespace dualbus::operation::test {

using operation_part = scripted_operation::parts::value_type;

/// What the operations of tests send, one round after another.
inline constexpr std::string_view first_request[] = {"FIRST"}, second_request[] = {"SECOND"},
                                  third_request[] = {"THIRD"};

/// A test in which XLEN takes the course that the test says.
class CourseTest : public WorkerTest {
 protected:
  using WorkerTest::WorkerTest;

  void takes_course(bool holds, scripted_operation::course how) {
    bench_.handler.on("xlen", [this, holds, how = std::move(how), alive = alive_](session& client,
                                                                                  routed_request& request) {
      auto* const op = new scripted_operation(bench_.environment, client, request, holds,
                                              [how, alive](scripted_operation& self) { return how(self); });
      op_ = op;
      op->abandoned_ = [this] { ++abandoned_; };
      op->takes_ = takes_;
      op->start();
    });
  }
  /// The number of such operations that there are.
  long operations() const { return alive_.use_count() - 2; }

  scripted_operation* op_ = nullptr;  // the last one; it may be gone
  std::function<bool(std::uint32_t, std::string_view)> takes_;
  int abandoned_ = 0;

 private:
  std::shared_ptr<int> alive_ = std::make_shared<int>();
};

}  // namespace dualbus::operation::test
