#pragma once

#include "exec_test.hpp"

#include <dualbus/operation/group_operation.hpp>

#include <functional>
#include <string>
#include <utility>

namespace dualbus::operation::test {

/// An operation on groups whose course a test writes as a coroutine over its tools.
class scripted_group_operation final : public group_operation {
 public:
  using course = std::function<base::task<>(scripted_group_operation&)>;

  scripted_group_operation(stream_environment& environment, session& owner, routed_request& request,
                           course how)
      : group_operation(environment, owner, request, true), how_(std::move(how)) {}

  using gather_operation::answer;
  using gather_operation::answer_error;
  using gather_operation::answer_ok;
  using gather_operation::answer_refusal;
  using gather_operation::part;
  using gather_operation::parts;
  using gather_operation::round;
  using group_operation::answer_no_group;
  using group_operation::answer_no_group_of_key;
  using group_operation::create_missing;
  using group_operation::find_group;
  using group_operation::heal;
  using group_operation::healing;
  using group_operation::location;
  using group_operation::look_over;
  using group_operation::send_to_all;
  using group_operation::survey;

 private:
  base::task<> run() override { return how_(*this); }

  const course how_;
};

/// Two active buses, of which the first is the anchor, and one that is being drained.
class GroupsTest : public ExecTest {
 protected:
  GroupsTest() : ExecTest({.buses = {"a", "b", "c, state: draining"}, .settings = {}}) {}

  /// XLEN takes that course.
  void takes_course(scripted_group_operation::course how) {
    bench_.handler.on("xlen", [this, how = std::move(how)](session& client, routed_request& request) {
      (new scripted_group_operation(bench_.streams, client, request, how))->start();
    });
    client_.says("XLEN s");
  }
  static void answers(fake_bus& bus, const std::string& request, std::string_view reply) {
    EXPECT_EQ(bus.asked(), request);
    bus.answers(reply);
  }

  fake_bus& c_ = bench_.c();
  const std::string pending_ = "XPENDING s g", create_ = "XGROUP CREATE s g 0 MKSTREAM",
                    destroy_ = "XGROUP DESTROY s g";
  const std::string there_ = "*4\r\n:0\r\n$-1\r\n$-1\r\n*-1\r\n";
  const std::string absent_ = "-NOGROUP No such key 's' or consumer group 'g'\r\n";
  const std::string exists_ = "-BUSYGROUP Consumer Group name already exists\r\n";
};

}  // namespace dualbus::operation::test
