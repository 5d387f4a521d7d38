// Counts calls of malloc and its kin, operator new's included, around what a request goes through.

#include "../counting_malloc.hpp"
#include "fleet_messages.hpp"

#include <dualbus/base/chunk_queue.hpp>
#include <dualbus/base/object_pool.hpp>
#include <dualbus/base/read_buffer.hpp>
#include <dualbus/command/router.hpp>
#include <dualbus/resp/encoder.hpp>
#include <dualbus/resp/reply_reader.hpp>
#include <dualbus/resp/reply_scanner.hpp>
#include <dualbus/resp/request_parser.hpp>

#include <cstddef>
#include <functional>
#include <string>

#include <gtest/gtest.h>

namespace {

thread_local std::size_t calls = 0, bytes = 0;

}  // namespace

static void count_allocation(std::size_t size) {
  ++calls;
  bytes += size;
}

namespace dualbus {
namespace {

struct allocated {
  std::size_t calls, bytes;
};

allocated during(const std::function<void()>& action) {
  const std::size_t calls_before = calls, bytes_before = bytes;
  action();
  return {calls - calls_before, bytes - bytes_before};
}

class AllocationTest : public testing::Test {
 protected:
  void use(const command::routing_rules& rules) {
    router_.reset();
    table_ = std::make_unique<command::routing_table>(rules);
    counters_ = std::make_unique<command::message_counters>(table_->bus_count(), 3);
    router_ = std::make_unique<command::router>(*table_, *counters_);
  }
  void SetUp() override { use(test::fleet_rules()); }

  // Bytes come in, all requests are parsed and planned, the bytes go on to a queue and out of it.
  void run(const std::string& input) {
    std::string_view left = input;
    while (!left.empty()) {
      const std::string_view piece = left.substr(0, 4096);
      left.remove_prefix(piece.size());
      in_.append(piece);
      while (!in_.empty() && parser_.parse(in_.data()) == resp::parse_status::complete) {
        const auto& spec =
            command::command_table()[static_cast<std::size_t>(command::find_command(parser_.args()[0]))];
        router_->make_plan(spec, parser_.args(), plan_);
        ASSERT_NE(plan_.what, command::plan::action::refuse) << plan_.error;
        if (parser_.verbatim()) {
          out_.append(in_.data().substr(0, parser_.consumed()));
        } else {
          resp::encoder(out_).request(parser_.args());
        }
        in_.consume(parser_.consumed());
        parser_.reset();
      }
      out_.consume(out_.size());
    }
    ASSERT_TRUE(in_.empty());
  }

  // Twice to warm up, then it must be quiet.
  void expect_nothing_allocated(const std::string& input) {
    run(input);
    run(input);
    const allocated result = during([&] { run(input); });
    EXPECT_EQ(result.calls, 0U) << result.bytes << " bytes";
  }

  base::chunk_pool pool_{16 * 1024, 16};
  base::chunk_queue out_{pool_};
  base::read_buffer in_;
  resp::request_parser parser_;
  command::plan plan_;
  std::unique_ptr<command::routing_table> table_;
  std::unique_ptr<command::message_counters> counters_;
  std::unique_ptr<command::router> router_;
};

std::string pipeline(const std::vector<std::string>& request) {
  std::string text;
  for (int i = 0; i < 100; ++i) text += test::encode(request);
  return text;
}

TEST_F(AllocationTest, TheCounterSeesAllocations) {
  const allocated result = during([] { delete new std::string(1000, 'x'); });
  EXPECT_GE(result.calls, 2U);
  EXPECT_GE(result.bytes, 1000U);
}

TEST_F(AllocationTest, AnXaddOfAKnownTypeAllocatesNothing) {
  expect_nothing_allocated(pipeline(test::fleet_xadd("market_data")));
}

TEST_F(AllocationTest, AnXaddMatchedByAGlobAllocatesNothing) {
  expect_nothing_allocated(pipeline(test::fleet_xadd("risk_metric")));
}

TEST_F(AllocationTest, AnXaddClassifiedByItsJsonAllocatesNothing) {
  expect_nothing_allocated(pipeline(test::fleet_xadd("market_data", true)));
}

TEST_F(AllocationTest, UnknownTypesBeyondTheCapAllocateNothing) {
  std::string input;
  for (int i = 0; i < 100; ++i)
    input += test::encode(test::fleet_xadd("a_type_nobody_knows_" + std::to_string(i)));
  expect_nothing_allocated(input);
}

TEST_F(AllocationTest, APinnedKeyAllocatesNothing) {
  std::vector<std::string> request = test::fleet_xadd("market_data");
  request[1] = "md:trades";
  expect_nothing_allocated(pipeline(request));
}

TEST_F(AllocationTest, OtherCommandsAllocateNothing) {
  expect_nothing_allocated(pipeline({"GET", "key"}) + pipeline({"SET", "key", std::string(300, 'x')}) +
                           pipeline({"MGET", "md:a", "b", "c"}) + pipeline({"DEL", "a", "b"}) +
                           pipeline({"PING"}) + pipeline({"ZUNIONSTORE", "d", "2", "a", "b"}) +
                           pipeline({"XLEN", "s"}));
}

TEST_F(AllocationTest, ScanningAndReadingRepliesAllocatesNothing) {
  std::string reply = "*1000\r\n";
  for (int i = 0; i < 1000; ++i) reply += "*2\r\n$15\r\n1692629576966-0\r\n*2\r\n$1\r\na\r\n:1\r\n";
  const allocated result = during([&] {
    resp::reply_scanner scanner;
    ASSERT_EQ(scanner.scan(reply), resp::scan_status::complete);
    resp::reply_reader reader(reply);
    while (!reader.done()) reader.next();
  });
  EXPECT_EQ(result.calls, 0U);
}

TEST_F(AllocationTest, AnnouncementsReserveNothing) {
  for (const char* input : {"*11000000\r\n", "*11000000\r\n$60000000\r\nx", "*1\r\n$60000000\r\n"}) {
    const allocated result = during([&] {
      resp::request_parser parser;
      ASSERT_EQ(parser.parse(input), resp::parse_status::incomplete);
    });
    EXPECT_LT(result.bytes, 1024U) << input;
  }
  const allocated replies = during([] {
    resp::reply_scanner scanner;
    ASSERT_EQ(scanner.scan("*4294967296\r\n$1073741824\r\nx"), resp::scan_status::incomplete);
  });
  EXPECT_EQ(replies.calls, 0U);
}

TEST_F(AllocationTest, PooledObjectsAreAllocatedOnce) {
  base::object_pool<std::uint64_t> objects;
  objects.destroy(objects.create(1U));
  const allocated result = during([&] {
    for (int i = 0; i < 1000; ++i) objects.destroy(objects.create(1U));
  });
  EXPECT_EQ(result.calls, 0U);
}

}  // namespace
}  // namespace dualbus
