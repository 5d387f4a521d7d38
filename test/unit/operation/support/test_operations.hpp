#pragma once

#include <dualbus/operation/everywhere_operation.hpp>

#include <functional>
#include <utility>

namespace dualbus::operation::test {

/// To every bus as it is; the answer is the sum of what they answer, or the first error.
class sum_operation final : public everywhere_operation {
 public:
  using everywhere_operation::everywhere_operation;

 private:
  void on_round(const parts& all) override {
    if (answer_error(all)) return;
    if (const auto sum = sum_of(all)) answer_integer(*sum);
  }
};

/// An operation whose course a test writes as a coroutine over its tools.
class scripted_operation final : public gather_operation {
 public:
  using course = std::function<base::task<>(scripted_operation&)>;

  scripted_operation(environment& environment, session& owner, routed_request& request, bool holds,
                     course how)
      : gather_operation(environment, owner, request, holds), how_(std::move(how)) {}

  using gather_operation::answer;
  using gather_operation::answer_error;
  using gather_operation::answer_integer;
  using gather_operation::answer_nonsense;
  using gather_operation::answer_ok;
  using gather_operation::answer_refusal;
  using gather_operation::extend_clock;
  using gather_operation::one_round_;
  using gather_operation::part;
  using gather_operation::parts;
  using gather_operation::pause;
  using gather_operation::restart_clock;
  using gather_operation::resume;
  using gather_operation::round;
  using gather_operation::send;
  using gather_operation::sum_of;
  using gather_operation::suspend;
  using gather_operation::time_is_over;

  bool client_is_there() const { return owner_ != nullptr; }
  /// Called when the client goes while nothing is out.
  std::function<void()> abandoned_;
  std::function<bool(std::uint32_t, std::string_view)> takes_;

 private:
  base::task<> run() override { return how_(*this); }
  bool take_reply(std::uint32_t index, std::string_view reply) override {
    return takes_ && takes_(index, reply);
  }
  void on_abandoned() override {
    if (abandoned_) abandoned_();
  }

  const course how_;
};

}  // namespace dualbus::operation::test
