#include <dualbus/backend/handshake.hpp>

#include <string>

#include <gtest/gtest.h>

namespace dualbus::backend {
namespace {

const std::string greeting_2 =
    "*14\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n$5\r\nproto\r\n:2\r\n$"
    "2\r\nid\r\n:42\r\n"
    "$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n";
const std::string greeting_3 =
    "%4\r\n$7\r\nmodules\r\n*1\r\n%1\r\n$4\r\nname\r\n$2\r\nft\r\n$6\r\nserver\r\n$6\r\nvalkey\r\n$"
    "2\r\nid\r\n:7\r\n"
    "$4\r\nrole\r\n$7\r\nreplica\r\n";

class HandshakeTest : public testing::Test {
 protected:
  std::string read(const std::string& bytes) {
    input.append(bytes);
    return hello.read(input);
  }
  handshake hello;
  base::read_buffer input;
  config::bus_settings target;
};

TEST_F(HandshakeTest, AsksForTheProtocolAndGivesAName) {
  EXPECT_EQ(hello.start(resp::protocol::resp3, target, 0),
            "*4\r\n$5\r\nHELLO\r\n$1\r\n3\r\n$7\r\nSETNAME\r\n$8\r\ndualbusd\r\n");
  EXPECT_FALSE(hello.done());
}

TEST_F(HandshakeTest, LogsInAsDefaultUnlessAUserIsNamed) {
  target.password = "secret";
  EXPECT_NE(hello.start(resp::protocol::resp2, target, 0).find("AUTH\r\n$7\r\ndefault\r\n$6\r\nsecret\r\n"),
            std::string::npos);
  target.username = "u";
  EXPECT_NE(hello.start(resp::protocol::resp2, target, 0).find("AUTH\r\n$1\r\nu\r\n$6\r\nsecret\r\n"),
            std::string::npos);
}

TEST_F(HandshakeTest, ReadsTheGreetingByteByByte) {
  for (const std::string& greeting : {greeting_2, greeting_3}) {
    hello.start(resp::protocol::resp2, target, 3);
    const std::string replies = greeting + "+OK\r\n";
    for (std::size_t i = 0; i < replies.size(); ++i) {
      EXPECT_FALSE(hello.done());
      EXPECT_EQ(read(replies.substr(i, 1)), "");
    }
    EXPECT_TRUE(hello.done());
  }
  EXPECT_EQ(hello.greeting().identity.name, "valkey");
  EXPECT_EQ(hello.greeting().identity.version, "7.0.15") << "the last one that was said";
  EXPECT_EQ(hello.greeting().role, "replica");
  EXPECT_EQ(hello.greeting().client_id, 7);
}

TEST_F(HandshakeTest, SaysWhyAConnectionIsOfNoUse) {
  hello.start(resp::protocol::resp2, target, 0);
  EXPECT_EQ(read("-WRONGPASS no\x1b[1m\r\n"), "refused the handshake: WRONGPASS no?[1m");
  input.release();
  hello.start(resp::protocol::resp2, target, 0);
  EXPECT_EQ(read("HTTP/1.1 400\r\n"), "answered something that is not RESP");
  input.release();
  hello.start(resp::protocol::resp2, target, 0);
  EXPECT_EQ(read(greeting_2 + "+OK\r\n"), "sent more than was asked for");
  input.release();
  hello.start(resp::protocol::resp2, target, 1);
  EXPECT_EQ(read(greeting_2 + "-ERR DB index is out of range\r\n"),
            "refused the handshake: ERR DB index is out of range");
}

}  // namespace
}  // namespace dualbus::backend
