#include <dualbus/backend/server_identity.hpp>

#include <gtest/gtest.h>

namespace dualbus::backend {
namespace {

TEST(ServerIdentityTest, ARedisHasTheVersionThatItSays) {
  const server_identity redis{"redis", "7.0.15"};
  EXPECT_EQ(redis.title(), "Redis");
  EXPECT_EQ(redis.redis_version(), "7.0.15");
  EXPECT_TRUE(redis.is_redis_before(7, 2));
  EXPECT_FALSE(redis.is_redis_before(7, 0));
  EXPECT_FALSE((server_identity{"redis", "7.2.4"}).is_redis_before(7, 2));
  EXPECT_FALSE((server_identity{"redis", "10.0.0"}).is_redis_before(7, 2));
  EXPECT_TRUE((server_identity{"redis", "6.2.14"}).is_redis_before(7, 0));
}

TEST(ServerIdentityTest, AValkeyStandsForRedis72WhateverItsVersion) {
  const server_identity valkey{"valkey", "9.1.2"};
  EXPECT_EQ(valkey.title(), "Valkey");
  EXPECT_EQ(valkey.redis_version(), "7.2.4");
  EXPECT_FALSE(valkey.is_redis_before(7, 2));
  EXPECT_TRUE(valkey.is_redis_before(8, 0));
}

TEST(ServerIdentityTest, WhatIsNotKnownIsNotOld) {
  for (const server_identity& unknown :
       {server_identity{}, server_identity{"other", "1.0.0"}, server_identity{"redis", "x"},
        server_identity{"redis", "7"}, server_identity{"redis", "7.x"}}) {
    EXPECT_FALSE(unknown.is_redis_before(99, 0)) << unknown.name << ' ' << unknown.version;
  }
  EXPECT_FALSE(server_identity{}.known());
  EXPECT_EQ((server_identity{"other", "1.0.0"}).redis_version(), "");
}

}  // namespace
}  // namespace dualbus::backend
