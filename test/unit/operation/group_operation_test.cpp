// Consumer groups over several buses: where they are, and how they come to buses that lack them.

#include "support/groups_test.hpp"

namespace dualbus::operation::test {
namespace {

using namespace std::chrono_literals;
using metrics::outcome;
using testing::ElementsAre;
using group_op = scripted_group_operation;

// --------------------------------------------------------------------------------------------------- finding

base::task<> find(group_op& self) {
  const group_op::location where = co_await self.find_group("s", "g");
  if (where.problem) {
    self.answer_error(*where.problem);
  } else if (where.bus) {
    self.answer_refusal("ON bus " + std::to_string(*where.bus));
  } else {
    self.answer_no_group("s", "g");
  }
}

class FindGroupTest : public GroupsTest {
 protected:
  FindGroupTest() { takes_course(find); }
};

TEST_F(FindGroupTest, AGroupThatTheAnchorHasIsThere) {
  answers(a_, pending_, there_);
  EXPECT_EQ(client_.got(), "-ON bus 0\r\n");
  EXPECT_EQ(c_.asked(), "(nothing)");
}

TEST_F(FindGroupTest, AGroupThatOnlyADrainingBusHasIsThere) {
  answers(a_, pending_, absent_);
  answers(c_, pending_, there_);
  EXPECT_EQ(client_.got(), "-ON bus 2\r\n");
  EXPECT_EQ(b_.asked(), "(nothing)");
}

TEST_F(FindGroupTest, AGroupThatNeitherHasIsNowhere) {
  answers(a_, pending_, absent_);
  answers(c_, pending_, absent_);
  EXPECT_EQ(client_.got(), "-NOGROUP No such key 's' or consumer group 'g'\r\n");
}

TEST_F(FindGroupTest, AnAnchorThatCannotSayIsAProblem) {
  answers(a_, pending_, "-WRONGTYPE no stream\r\n");
  EXPECT_EQ(client_.got(), "-WRONGTYPE no stream\r\n");
}

TEST_F(FindGroupTest, ADrainingBusThatCannotSayIsAProblem) {
  answers(a_, pending_, absent_);
  EXPECT_EQ(c_.asked(), pending_);
  c_.closes_all();
  EXPECT_THAT(client_.got(), testing::StartsWith("-BUSLOST bus 'c'"));
}

// --------------------------------------------------------------------------------------------------- healing

class HealTest : public GroupsTest {
 protected:
  void heals(std::vector<command::bus_index> missing) {
    takes_course([missing](group_op& self) -> base::task<> {
      const group_op::healing done = co_await self.heal("s", "g", missing);
      if (done.problem) {
        self.answer_error(*done.problem);
      } else if (done.exists) {
        self.answer_ok();
      } else {
        self.answer_no_group_of_key("s", "g");
      }
    });
  }
  const std::string nowhere_ = "-NOGROUP No such consumer group 'g' for key name 's'\r\n";
};

TEST_F(HealTest, ABusThatLacksAnExistingGroupGetsItFromTheBeginning) {
  heals({1});
  answers(a_, pending_, there_);
  answers(b_, create_, ok);
  answers(a_, pending_, there_);
  EXPECT_EQ(client_.got(), ok);
  EXPECT_EQ(bench_.figures(1).groups_healed, 1U);
  EXPECT_EQ(bench_.figures(0).groups_healed, 0U);
}

TEST_F(HealTest, AGroupThatDoesNotExistIsNotMade) {
  heals({1});
  answers(a_, pending_, absent_);
  answers(c_, pending_, absent_);
  EXPECT_EQ(client_.got(), nowhere_);
  EXPECT_EQ(b_.asked(), "(nothing)");
}

TEST_F(HealTest, AGroupOfADrainingBusComesToTheAnchorLast) {
  heals({0, 1});
  answers(a_, pending_, absent_);
  answers(c_, pending_, there_);
  answers(b_, create_, ok);
  EXPECT_EQ(a_.asked(), "(nothing)");
  answers(c_, pending_, there_);
  answers(a_, create_, ok);
  answers(c_, pending_, there_);
  EXPECT_EQ(client_.got(), ok);
  EXPECT_EQ(bench_.figures(0).groups_healed, 1U);
  EXPECT_EQ(bench_.figures(1).groups_healed, 1U);
}

TEST_F(HealTest, AGroupThatSomebodyElseHasMadeMeanwhileIsAsGood) {
  heals({1});
  answers(a_, pending_, there_);
  answers(b_, create_, exists_);
  answers(a_, pending_, there_);
  EXPECT_EQ(client_.got(), ok);
  EXPECT_EQ(bench_.figures(1).groups_healed, 0U);
}

TEST_F(HealTest, AGroupThatIsDestroyedMeanwhileIsTakenBack) {
  heals({0, 1});
  answers(a_, pending_, absent_);
  answers(c_, pending_, there_);
  answers(b_, create_, ok);
  answers(c_, pending_, there_);
  answers(a_, create_, ok);
  answers(c_, pending_, absent_);
  // The anchor first.
  EXPECT_EQ(b_.asked(), "(nothing)");
  answers(a_, destroy_, ":1\r\n");
  answers(b_, destroy_, ":1\r\n");
  EXPECT_EQ(client_.got(), nowhere_);
  EXPECT_EQ(bench_.figures(1).groups_healed, 0U);
}

TEST_F(HealTest, WhatCannotBeTakenBackIsLeft) {
  heals({1});
  answers(a_, pending_, there_);
  answers(b_, create_, ok);
  answers(a_, pending_, absent_);
  answers(b_, destroy_, "-READONLY replica\r\n");
  EXPECT_EQ(client_.got(), nowhere_);
}

TEST_F(HealTest, ABusThatCannotMakeTheGroupIsAProblem) {
  heals({1});
  answers(a_, pending_, there_);
  answers(b_, create_, "-OOM command not allowed\r\n");
  answers(a_, pending_, there_);
  EXPECT_EQ(client_.got(), "-OOM command not allowed\r\n");
}

TEST_F(HealTest, AnAuthorityThatIsLostMeanwhileIsAProblem) {
  heals({1});
  answers(a_, pending_, there_);
  answers(b_, create_, ok);
  EXPECT_EQ(a_.asked(), pending_);
  a_.closes_all();
  EXPECT_THAT(client_.got(), testing::StartsWith("-BUSLOST bus 'a'"));
}

TEST_F(HealTest, AnAuthorityThatCannotSayIsAProblem) {
  heals({1});
  answers(a_, pending_, "-LOADING Redis is loading\r\n");
  EXPECT_EQ(client_.got(), "-LOADING Redis is loading\r\n");
}

TEST_F(HealTest, TheAnchorItselfNeedsNoHealing) {
  heals({0});
  answers(a_, pending_, there_);
  EXPECT_EQ(client_.got(), ok);
}

// -------------------------------------------------------------------------------------------------- creating

class CreateGroupTest : public GroupsTest {
 protected:
  void creates(command::bus_index only = command::no_bus) {
    takes_course([only](group_op& self) -> base::task<> {
      const auto problem = co_await self.create_missing("s", "g", "0", only);
      problem ? self.answer_error(*problem) : self.answer_ok();
    });
  }
};

TEST_F(CreateGroupTest, TheAnchorGetsTheGroupBehindTheOthersAndADrainingBusNoNewStream) {
  creates();
  EXPECT_EQ(bench_.changes.of("s", 1).unfinished, 0U);
  EXPECT_EQ(b_.asked(), create_);
  EXPECT_EQ(bench_.changes.of("s", 1).unfinished, 1U);
  EXPECT_EQ(a_.asked(), "(nothing)");
  b_.answers(ok);
  answers(a_, create_, ok);
  answers(c_, "XGROUP CREATE s g 0", "-ERR The XGROUP subcommand requires the key to exist.\r\n");
  EXPECT_EQ(client_.got(), ok);
  EXPECT_EQ(bench_.figures(0).groups_created, 1U);
  EXPECT_EQ(bench_.figures(1).groups_created, 1U);
  EXPECT_EQ(bench_.figures(2).groups_created, 0U);
  EXPECT_EQ(bench_.changes.of("s", 1).unfinished, 0U);
}

TEST_F(CreateGroupTest, AGroupThatIsThereAlreadyIsAsGood) {
  creates();
  answers(b_, create_, exists_);
  answers(a_, create_, exists_);
  answers(c_, "XGROUP CREATE s g 0", ok);
  EXPECT_EQ(client_.got(), ok);
  EXPECT_EQ(bench_.figures(1).groups_created, 0U);
  EXPECT_EQ(bench_.figures(2).groups_created, 1U);
}

TEST_F(CreateGroupTest, AProblemEndsItBeforeTheAnchorHasTheGroup) {
  creates();
  answers(b_, create_, "-WRONGTYPE no stream\r\n");
  EXPECT_EQ(client_.got(), "-WRONGTYPE no stream\r\n");
  EXPECT_EQ(a_.asked(), "(nothing)");
}

TEST_F(CreateGroupTest, APinnedStreamHasItsGroupOnItsBusOnly) {
  creates(1);
  answers(b_, create_, ok);
  EXPECT_EQ(client_.got(), ok);
  EXPECT_EQ(a_.asked(), "(nothing)");
  EXPECT_EQ(c_.asked(), "(nothing)");
}

TEST_F(CreateGroupTest, APinnedStreamThatIsMissingOnADrainingBusIsAProblem) {
  creates(2);
  answers(c_, "XGROUP CREATE s g 0", "-ERR The XGROUP subcommand requires the key to exist.\r\n");
  EXPECT_EQ(client_.got(), "-ERR The XGROUP subcommand requires the key to exist.\r\n");
}

// ---------------------------------------------------------------------------------------------- looking over

class LookOverTest : public GroupsTest {
 protected:
  /// The survey of those answers, by bus: "key, group, missing 1, problem -ERR".
  std::string looks(std::string_view of_a, std::string_view of_b, std::string_view of_c) {
    takes_course([](group_op& self) -> base::task<> {
      const std::string_view info[] = {"XINFO", "CONSUMERS", "s", "g"};
      self.send_to_all(info);
      const group_op::parts all = co_await self.round();
      const group_op::survey found = self.look_over(all);
      std::string text = "FOUND";
      if (found.key_exists) text += " key";
      if (found.group_exists) text += " group";
      for (const command::bus_index bus : found.missing) text += " missing " + std::to_string(bus);
      if (found.problem != nullptr) text += " problem " + found.problem->reply.substr(1, 9);
      self.answer_refusal(text);
    });
    answers(a_, "XINFO CONSUMERS s g", of_a);
    answers(b_, "XINFO CONSUMERS s g", of_b);
    answers(c_, "XINFO CONSUMERS s g", of_c);
    const std::string got = client_.got();
    return got.size() < 3 ? got : got.substr(1, got.size() - 3);
  }
  const std::string_view none_ = "*0\r\n", no_key_ = "-ERR no such key\r\n";
  const std::string_view no_group_ = "-NOGROUP No such consumer group 'g' for key name 's'\r\n";
};

TEST_F(LookOverTest, AGroupExistsIfTheAnchorOrADrainingBusHasIt) {
  EXPECT_EQ(looks(none_, none_, none_), "FOUND key group");
  EXPECT_EQ(looks(none_, no_key_, no_key_), "FOUND key group missing 1");
  EXPECT_EQ(looks(no_key_, no_key_, none_), "FOUND key group missing 0 missing 1");
  EXPECT_EQ(looks(no_key_, none_, no_key_), "FOUND key missing 0");
}

TEST_F(LookOverTest, AKeyExistsIfSomeBusSaysThatOnlyTheGroupIsMissing) {
  EXPECT_EQ(looks(no_key_, no_key_, no_key_), "FOUND missing 0 missing 1");
  EXPECT_EQ(looks(no_group_, no_key_, no_key_), "FOUND key missing 0 missing 1");
}

TEST_F(LookOverTest, TheFirstErrorIsTheProblemButWrongtypeBeforeOthers) {
  EXPECT_EQ(looks("-LOADING 1\r\n", "-BUSYKEY 2\r\n", none_), "FOUND key group problem LOADING 1");
  EXPECT_EQ(looks("-LOADING 1\r\n", "-WRONGTYPE 2\r\n", "-WRONGTYPE 3\r\n"), "FOUND problem WRONGTYPE");
}

TEST_F(LookOverTest, NamesInErrorsEndAtAZeroByteAndHaveNoLineEnds) {
  takes_course([](group_op& self) -> base::task<> {
    self.answer_no_group(std::string_view("a\r\nb\0c", 6), "g");
    co_return;
  });
  EXPECT_EQ(client_.got(), "-NOGROUP No such key 'a  b' or consumer group 'g'\r\n");
}

}  // namespace
}  // namespace dualbus::operation::test
