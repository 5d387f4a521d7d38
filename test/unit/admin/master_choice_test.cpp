#include "admin/master_choice.hpp"

#include <gmock/gmock.h>

namespace dualbus::admin {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

config::server_address at(const std::string& host) {
  return {host, 6379, "", host + ":6379"};
}

sentinel_answer says(const std::string& host, std::uint64_t epoch, bool configured = true) {
  return {at(host), epoch, configured};
}

std::vector<std::string> hosts(const std::vector<master_choice::candidate>& candidates) {
  std::vector<std::string> result;
  for (const auto& candidate : candidates) result.push_back(candidate.address.host);
  return result;
}

// Three Sentinels are configured, and `host` is the master since that epoch.
master_choice following(const std::string& host, std::uint64_t epoch) {
  master_choice choice(3);
  choice.adopt({at(host), epoch});
  return choice;
}

TEST(MasterChoiceTest, AtFirstEveryNamedServerIsWorthAsking) {
  const master_choice choice(3);
  EXPECT_THAT(hosts(choice.order({})), IsEmpty());
  EXPECT_THAT(hosts(choice.order({says("a", 1), says("b", 1), says("b", 1)})), ElementsAre("b", "a"));
  EXPECT_THAT(hosts(choice.order({says("a", 1), says("a", 1), says("b", 2)})), ElementsAre("b", "a"));
  EXPECT_TRUE(choice.is_news(says("a", 0)));
  EXPECT_FALSE(choice.confirms(says("a", 0)));
}

TEST(MasterChoiceTest, AFailoverIsNews) {
  master_choice choice = following("a", 1);
  EXPECT_TRUE(choice.is_news(says("b", 2)));
  EXPECT_FALSE(choice.is_news(says("a", 2)));
  EXPECT_TRUE(choice.confirms(says("a", 1)));
  EXPECT_THAT(hosts(choice.order({says("a", 1), says("b", 2), says("a", 1)})), ElementsAre("b", "a"));
}

TEST(MasterChoiceTest, ASentinelThatWasAwayIsNotBelieved) {
  const master_choice choice = following("b", 2);
  EXPECT_FALSE(choice.is_news(says("a", 1)));
  EXPECT_THAT(hosts(choice.order({says("a", 1)})), IsEmpty());
  EXPECT_THAT(hosts(choice.order({says("a", 1), says("b", 2)})), ElementsAre("b"));
}

TEST(MasterChoiceTest, TheSentinelThatLeadsAFailoverIsBelievedBeforeTheOthersKnow) {
  master_choice choice = following("a", 5);
  const std::vector<sentinel_answer> meanwhile = {says("a", 5), says("b", 5), says("a", 5)};
  EXPECT_TRUE(choice.is_news(says("b", 5)));
  EXPECT_THAT(hosts(choice.order(meanwhile)), ElementsAre("b", "a"));
  choice.adopt({at("b"), 5});
  // The others go on naming the old one for a while.
  EXPECT_FALSE(choice.is_news(says("a", 5)));
  EXPECT_THAT(hosts(choice.order(meanwhile)), ElementsAre("b"));
  EXPECT_TRUE(choice.confirms(says("b", 5)));
  EXPECT_TRUE(choice.confirms(says("b", 6)));
}

TEST(MasterChoiceTest, IfThatSentinelDiesMidwayTheMajorityIsFollowedBack) {
  master_choice choice = following("a", 5);
  choice.adopt({at("b"), 5});
  EXPECT_THAT(hosts(choice.order({says("a", 5)})), IsEmpty());
  EXPECT_THAT(hosts(choice.order({says("a", 5), says("a", 5)})), ElementsAre("a"));
}

TEST(MasterChoiceTest, AnOldMasterMayComeBackInALaterEpoch) {
  master_choice choice = following("a", 1);
  choice.adopt({at("b"), 2});
  EXPECT_FALSE(choice.is_news(says("a", 2)));
  EXPECT_TRUE(choice.is_news(says("a", 3)));
  choice.adopt({at("a"), 3});
  EXPECT_FALSE(choice.is_news(says("b", 3)));
  EXPECT_TRUE(choice.is_news(says("b", 4)));
}

TEST(MasterChoiceTest, SentinelsThatWereMadeToForgetAreBelievedTogether) {
  master_choice choice = following("b", 7);
  // The same master, in an epoch that began anew.
  const std::vector<sentinel_answer> same = {says("b", 0), says("b", 0)};
  EXPECT_FALSE(choice.confirms(says("b", 0)));
  EXPECT_THAT(hosts(choice.order(same)), ElementsAre("b"));
  choice.adopt(choice.order(same)[0]);
  EXPECT_TRUE(choice.confirms(says("b", 0)));
  EXPECT_TRUE(choice.is_news(says("c", 1)));
  // Another master.
  choice = following("b", 7);
  EXPECT_THAT(hosts(choice.order({says("c", 0), says("b", 7)})), ElementsAre("b"));
  EXPECT_THAT(hosts(choice.order({says("c", 0), says("c", 0)})), ElementsAre("c"));
}

TEST(MasterChoiceTest, SentinelsThatOthersNamedHaveNoVoteInThat) {
  const master_choice choice = following("b", 7);
  EXPECT_THAT(
      hosts(choice.order({says("c", 0, false), says("c", 0, false), says("c", 0, false), says("c", 0)})),
      IsEmpty());
  EXPECT_THAT(hosts(master_choice(1).order({says("c", 0, false)})), ElementsAre("c"));
}

TEST(MasterChoiceTest, ASingleSentinelIsAMajority) {
  master_choice choice(1);
  choice.adopt({at("b"), 7});
  EXPECT_THAT(hosts(choice.order({says("c", 0)})), ElementsAre("c"));
}

TEST(MasterChoiceTest, WithoutEpochsAFailoverAndTheWayBackAreFound) {
  // A Sentinel whose rights do not cover SENTINEL MASTER.
  master_choice choice = following("a", 0);
  EXPECT_TRUE(choice.is_news(says("b", 0)));
  choice.adopt({at("b"), 0});
  EXPECT_FALSE(choice.is_news(says("a", 0)));
  EXPECT_THAT(hosts(choice.order({says("a", 0), says("a", 0), says("a", 0)})), ElementsAre("a"));
}

TEST(MasterChoiceTest, NoNumberOfMastersIsRememberedForEver) {
  master_choice choice(1);
  for (std::uint64_t i = 0; i < 1000; ++i) choice.adopt({at("h" + std::to_string(i)), i});
  EXPECT_TRUE(choice.is_present(at("h999")));
}

}  // namespace
}  // namespace dualbus::admin
