#include "../../../src/admin/host_rule.hpp"

#include <gtest/gtest.h>

namespace dualbus::admin {
namespace {

TEST(HostRuleTest, TakesNumericAddressesAndNamesWithoutADot) {
  for (const char* host :
       {"", "127.0.0.1", "127.0.0.1:9121", "10.1.2.3:9121", "[::1]", "[::1]:9121", "[fe80::1]:9121",
        "localhost", "LOCALHOST:9121", "localhost.", "dualbusd:9121", "x"}) {
    EXPECT_TRUE(is_own_host(host, {})) << host;
  }
}

TEST(HostRuleTest, RefusesOtherNames) {
  for (const char* host :
       {"evil.example", "evil.example:9121", "127.0.0.1.evil.example", "localhost.evil.example",
        "127.0.0.1 .evil.example", "[::1].evil.example", "[evil.example]", "[", "user@evil.example"}) {
    EXPECT_FALSE(is_own_host(host, {})) << host;
  }
}

TEST(HostRuleTest, TakesTheNamesThatAreConfigured) {
  const std::vector<std::string> allowed = {"metrics.Example.org", "*.svc.cluster.local"};
  EXPECT_TRUE(is_own_host("metrics.example.org:9121", allowed));
  EXPECT_TRUE(is_own_host("METRICS.example.ORG", allowed));
  EXPECT_TRUE(is_own_host("dualbusd.trading.svc.cluster.local:9121", allowed));
  EXPECT_FALSE(is_own_host("metrics.example.org.evil.example", allowed));
}

}  // namespace
}  // namespace dualbus::admin
