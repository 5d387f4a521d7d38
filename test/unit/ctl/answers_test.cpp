#include "ctl/answers.hpp"

#include <stdexcept>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dualbus::ctl {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr const char* engines =
    R"([{"engine": "risk","connections": 2,"requests_1s": 0.500,"address": null},
        {"engine": "md","connections": 1,"requests_1s": 17.250,"address": "10.0.0.7"}])";

TEST(AnswersTest, ATableHasTheNamesOfItsFirstRow) {
  const console::table t = read_table(engines);
  EXPECT_THAT(t.names, ElementsAre("engine", "connections", "requests_1s", "address"));
  EXPECT_THAT(console::lines_of(t), ElementsAre("engine  connections  requests_1s  address",  //
                                                "risk              2          0.5  -",
                                                "md                1        17.25  10.0.0.7"));
}

TEST(AnswersTest, ATableMayBeEmpty) {
  EXPECT_THAT(read_table("[]").rows, IsEmpty());
}

TEST(AnswersTest, WhatIsNoTableIsRefused) {
  for (const char* text :
       {"", "{}", "[1]", "[[]]", "not found\n", R"([{"a": 1}, {"a": 1, "b": 2}])", "[{\"a\": 1}"})
    EXPECT_THROW(read_table(text), std::runtime_error) << text;
}

TEST(AnswersTest, ARecordHasALineForEachValue) {
  EXPECT_EQ(read_record(R"({"command": "MGET", "key": ["'a'", "'b'"], "workers": 3})"),
            "command: MGET\nkey: 'a'\nkey: 'b'\nworkers: 3\n");
  EXPECT_THROW(read_record("[]"), std::runtime_error);
}

TEST(AnswersTest, AnErrorIsTheOneOfTheApiOrTheTextItself) {
  EXPECT_EQ(read_error(R"({"error": "unknown command"})"), "unknown command");
  EXPECT_EQ(read_error("not found\n"), "not found");
  EXPECT_EQ(read_error(""), "");
}

TEST(AnswersTest, SortsNumbersFromTheLargestAndTextsFromA) {
  console::table t = read_table(engines);
  EXPECT_TRUE(sort_by(t, "requests_1s"));
  EXPECT_EQ(console::text_of(t.rows[0][0]), "md");
  EXPECT_TRUE(sort_by(t, "connections"));
  EXPECT_EQ(console::text_of(t.rows[0][0]), "risk");
  EXPECT_TRUE(sort_by(t, "engine"));
  EXPECT_EQ(console::text_of(t.rows[0][0]), "md");
  EXPECT_FALSE(sort_by(t, "nosuch"));
}

TEST(AnswersTest, ShowsTheColumnsThatAreThere) {
  EXPECT_THAT(console::lines_of(with_columns(read_table(engines), {"address", "nosuch", "engine"})),
              ElementsAre("address   engine", "-         risk", "10.0.0.7  md"));
}

}  // namespace
}  // namespace dualbus::ctl
