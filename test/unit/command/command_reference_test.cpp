#include <dualbus/command/command_reference.hpp>

#include <fstream>
#include <iterator>
#include <string>

#include <gtest/gtest.h>

namespace dualbus::command {
namespace {

TEST(CommandReferenceTest, TheDocumentedReferenceIsFresh) {
  std::ifstream file(std::string(DUALBUS_SOURCE_DIR) + "/docs/commands.md");
  const std::string documented(std::istreambuf_iterator<char>(file), {});
  EXPECT_TRUE(documented == command_reference_markdown())
      << "docs/commands.md is not what dualbusd --command-reference prints";
}

TEST(CommandReferenceTest, HoldsEachCommandOnceAndSaysSomethingOfIt) {
  const std::string text = command_reference_markdown();
  for (const command_spec& spec : command_table()) {
    std::string row = "\n| `";
    for (const char c : spec.name) row += static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c);
    row += "` | " + std::string(spec.since) + " | ";
    const std::size_t at = text.find(row);
    ASSERT_NE(at, std::string::npos) << spec.name;
    EXPECT_EQ(text.find(row, at + 1), std::string::npos) << spec.name;
    EXPECT_EQ(text.substr(text.find('\n', at + 1) - 3, 3), ". |") << spec.name;
    EXPECT_NE(text[at + row.size()], ' ') << spec.name;
  }
}

}  // namespace
}  // namespace dualbus::command
