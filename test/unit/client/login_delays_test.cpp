#include <dualbus/client/login_delays.hpp>

#include <string>

#include <gtest/gtest.h>

namespace dualbus::client {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view peer = "10.0.0.1:4711";
const base::time_point start = base::clock::now();

void fail(login_delays& delays, int times, base::time_point when = start, std::string_view who = peer) {
  for (int i = 0; i < times; ++i) delays.note_failure(who, when);
}

TEST(LoginDelaysTest, AFewFailuresCostNothing) {
  login_delays delays;
  EXPECT_EQ(delays.delay(peer, start, 1s), 0s);
  fail(delays, login_delays::free_failures - 1);
  EXPECT_EQ(delays.delay(peer, start, 1s), 0s);
}

TEST(LoginDelaysTest, EachFurtherFailureDoublesTheDelayUpToTheLongest) {
  login_delays delays;
  fail(delays, login_delays::free_failures);
  for (const auto expected : {50ms, 100ms, 200ms, 400ms, 800ms, 1000ms, 1000ms}) {
    EXPECT_EQ(delays.delay(peer, start, 1s), expected);
    fail(delays, 1);
  }
  fail(delays, 1'000'000);
  EXPECT_EQ(delays.delay(peer, start, 1s), 1s);
  EXPECT_EQ(delays.delay(peer, start, 0s), 0s) << "it is turned off";
}

TEST(LoginDelaysTest, CountsByAddressWhateverThePort) {
  login_delays delays;
  fail(delays, 100);
  EXPECT_EQ(delays.delay("10.0.0.1:5", start, 1s), 1s);
  EXPECT_EQ(delays.delay("10.0.0.2:4711", start, 1s), 0s);
}

TEST(LoginDelaysTest, TheNetworkOfAnIpv6AddressCountsAsOneHost) {
  login_delays delays;
  fail(delays, 100, start, "[2001:db8::1]:4711");
  EXPECT_EQ(delays.delay("[2001:db8::ffff:2]:1", start, 1s), 1s);
  EXPECT_EQ(delays.delay("[2001:db8:0:1::1]:4711", start, 1s), 0s);
  fail(delays, 100, start, "[::ffff:10.0.0.1]:4711");
  EXPECT_EQ(delays.delay("[::ffff:10.0.0.2]:4711", start, 1s), 0s) << "an IPv4 address is no network";
}

TEST(LoginDelaysTest, AMinuteWithoutAFailureEndsIt) {
  login_delays delays;
  fail(delays, 100);
  fail(delays, 1, start + 50s);
  EXPECT_EQ(delays.delay(peer, start + 109s, 1s), 1s);
  EXPECT_EQ(delays.delay(peer, start + 111s, 1s), 0s);
  delays.note_failure("10.0.0.2:1", start + 111s);
  EXPECT_EQ(delays.addresses(), 1u);
  fail(delays, 1, start + 111s);
  EXPECT_EQ(delays.delay(peer, start + 111s, 1s), 0s) << "it counts from the beginning";
}

TEST(LoginDelaysTest, RemembersABoundedNumberOfAddresses) {
  login_delays delays;
  fail(delays, 100, start, "10.9.9.9:1");
  for (std::size_t i = 0; i < 2 * login_delays::most_addresses; ++i) {
    delays.note_failure("10.0." + std::to_string(i / 256) + "." + std::to_string(i % 256) + ":1", start);
    if (i % 1000 == 0) delays.note_failure("10.9.9.9:1", start);
  }
  EXPECT_EQ(delays.addresses(), login_delays::most_addresses);
  EXPECT_EQ(delays.delay("10.9.9.9:1", start, 1s), 1s) << "an address that goes on failing is not forgotten";
}

}  // namespace
}  // namespace dualbus::client
