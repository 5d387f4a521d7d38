#include <dualbus/config/slot_mark.hpp>

#include <gtest/gtest.h>

namespace dualbus::config::test {
namespace {

TEST(SlotMarkTest, NamesDatabaseAndSlot) {
  EXPECT_EQ(slot_mark_name(0, 1), "dualbus_db0_slot1");
  EXPECT_EQ(slot_mark_name(15, 127), "dualbus_db15_slot127");
  EXPECT_TRUE(slot_mark_name(15, 127).starts_with(slot_mark_prefix(15)));
  EXPECT_FALSE(slot_mark_name(15, 127).starts_with(slot_mark_prefix(1)));
}

TEST(SlotMarkTest, IsToldFromLibrariesOfOthers) {
  EXPECT_TRUE(is_slot_mark(slot_mark_name(3, 7)));
  EXPECT_FALSE(is_slot_mark("dualbus_db0_slot"));
  EXPECT_FALSE(is_slot_mark("dualbus_db0_slot1x"));
  EXPECT_FALSE(is_slot_mark("dualbus_db_slot1"));
  EXPECT_FALSE(is_slot_mark("dualbus_dbx_slots_of_mine"));
  EXPECT_FALSE(is_slot_mark("my_dualbus_db0_slot1"));
  EXPECT_FALSE(is_slot_mark("dualbus"));
}

}  // namespace
}  // namespace dualbus::config::test
