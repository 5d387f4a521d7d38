#include <dualbus/client/input_buffers.hpp>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace dualbus::client {
namespace {

TEST(InputBuffersTest, GivesABufferOutAgainEmpty) {
  input_buffers input;
  input.set_max_request(1000);
  std::unique_ptr<partial_input> part = input.take();
  const partial_input* const first = part.get();
  part->buffer.append("*2\r\n$4\r\nECHO\r\n");
  EXPECT_EQ(part->parser.parse(part->buffer.data()), resp::parse_status::incomplete);
  input.give_back(std::move(part));
  part = input.take();
  EXPECT_EQ(part.get(), first);
  EXPECT_TRUE(part->buffer.empty());
  part->buffer.append("PING\r\n");
  ASSERT_EQ(part->parser.parse(part->buffer.data()), resp::parse_status::complete);
  EXPECT_EQ(part->parser.args().size(), 1U);
  EXPECT_NE(input.take().get(), first);
}

TEST(InputBuffersTest, KeepsTheMemoryOfSmallBuffersOnly) {
  input_buffers input;
  std::unique_ptr<partial_input> small = input.take(), large = input.take();
  small->buffer.append(std::string(1000, 'x'));
  large->buffer.append(std::string(100'000, 'x'));
  input.give_back(std::move(small));
  input.give_back(std::move(large));
  EXPECT_EQ(input.take()->buffer.capacity(), 0U);
  EXPECT_GE(input.take()->buffer.capacity(), 1000U);
}

TEST(InputBuffersTest, KeepsOnlySoManySpares) {
  input_buffers input;
  std::vector<std::unique_ptr<partial_input>> out;
  for (int i = 0; i < 100; ++i) out.push_back(input.take());
  for (auto& part : out) {
    part->buffer.append("x");
    input.give_back(std::move(part));
  }
  int used_before = 0;
  for (auto& part : out) {
    part = input.take();
    if (part->buffer.capacity() > 0) ++used_before;
  }
  EXPECT_EQ(used_before, 64);
}

TEST(InputBuffersTest, MaxRequestHoldsForAllParsers) {
  input_buffers input;
  input.set_max_request(1 << 20);
  input.give_back(input.take());
  input.set_max_request(100);
  const std::string request = "*1\r\n$101\r\n";
  EXPECT_EQ(input.shared_parser.parse(request), resp::parse_status::error);
  EXPECT_EQ(input.take()->parser.parse(request), resp::parse_status::error) << "also for a spare";
}

}  // namespace
}  // namespace dualbus::client
