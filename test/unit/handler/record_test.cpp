#include "handler/console/record.hpp"

#include <string>

#include <gtest/gtest.h>

namespace dualbus::handler {
namespace {

template <typename Write>
std::string written(resp::protocol version, Write&& write) {
  base::chunk_pool pool(512, 4);
  base::chunk_queue out(pool);
  resp::encoder encoder(out, version);
  write(encoder);
  return out.take_all();
}

const record keys{{"key", "a"}, {"sent", "to b"}, {"key", "c"}};

TEST(RecordTest, IsLinesInRESP2) {
  const auto version = resp::protocol::resp2;
  EXPECT_EQ(written(version, [&](resp::encoder& out) { write_record(out, version, keys); }),
            "*3\r\n+key: a\r\n+sent: to b\r\n+key: c\r\n");
}

TEST(RecordTest, IsAMapInRESP3WithAnArrayForANameThatComesAgain) {
  const auto version = resp::protocol::resp3;
  EXPECT_EQ(written(version, [&](resp::encoder& out) { write_record(out, version, keys); }),
            "%2\r\n$3\r\nkey\r\n*2\r\n$1\r\na\r\n$1\r\nc\r\n$4\r\nsent\r\n$4\r\nto b\r\n");
}

TEST(RecordTest, ATableIsColumnsInRESP2) {
  const auto version = resp::protocol::resp2;
  EXPECT_EQ(written(version,
                    [&](resp::encoder& out) {
                      write_table(out, version, {"bus", "at"}, {{"market", "x"}, {"e", "yy"}});
                    }),
            "*3\r\n+bus     at\r\n+market  x\r\n+e       yy\r\n");
}

TEST(RecordTest, ATableIsMapsInRESP3) {
  const auto version = resp::protocol::resp3;
  EXPECT_EQ(written(version,
                    [&](resp::encoder& out) {
                      write_table(out, version, {"bus"}, {{"m"}, {"e"}});
                    }),
            "*2\r\n%1\r\n$3\r\nbus\r\n$1\r\nm\r\n%1\r\n$3\r\nbus\r\n$1\r\ne\r\n");
}

}  // namespace
}  // namespace dualbus::handler
