#pragma once

#include "course_test.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace dualbus::operation::test {

inline const std::string ok = "+OK\r\n", queued = "+QUEUED\r\n";

/// A test of transactions.
class ExecTest : public CourseTest {
 protected:
  using CourseTest::CourseTest;

  /// MULTI, these, and EXEC, of which nothing is answered yet.
  static void transact(bench_client& client, const std::vector<std::string>& requests) {
    client.says("MULTI");
    EXPECT_EQ(client.got(), ok);
    for (const std::string& r : requests) {
      client.says(r);
      EXPECT_EQ(client.got(), queued) << r;
    }
    client.says("EXEC");
  }
  void transact(const std::vector<std::string>& requests) { transact(client_, requests); }

  /// The bus gets MULTI and those requests on a connection of its own, and queues them.
  static void queues(fake_bus& bus, const std::vector<std::string>& requests) {
    std::vector<std::string> all = {"MULTI"}, replies = {ok};
    for (const std::string& r : requests) {
      all.push_back(r);
      replies.push_back(queued);
    }
    EXPECT_EQ(bus.asked_all(), all);
    bus.answers_all(replies);
  }
  /// The same, and EXEC in one piece, which it answers so.
  static void carries_out(fake_bus& bus, const std::vector<std::string>& requests, const std::string& reply) {
    std::vector<std::string> all = {"MULTI"}, replies = {ok};
    for (const std::string& r : requests) {
      all.push_back(r);
      replies.push_back(queued);
    }
    all.emplace_back("EXEC");
    replies.push_back(reply);
    EXPECT_EQ(bus.asked_all(), all);
    bus.answers_all(replies);
  }
  /// The bus is asked for EXEC, and answers so.
  static void executes(fake_bus& bus, const std::string& reply) {
    EXPECT_EQ(bus.asked(), "EXEC");
    bus.answers(reply);
  }
};

}  // namespace dualbus::operation::test
