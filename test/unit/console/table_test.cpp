#include <dualbus/console/table.hpp>

#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace dualbus::console {
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

const table buses{
    {"bus", "requests", "p99"},
    {{std::string("market"), std::uint64_t{12}, 1.5}, {std::string("e"), std::uint64_t{7}, cell()}}};

TEST(TableTest, IsColumnsInRESP2WithNumbersToTheRight) {
  const auto version = resp::protocol::resp2;
  EXPECT_EQ(written(version, [&](resp::encoder& out) { write_table(out, version, buses); }),
            "*3\r\n+bus     requests  p99\r\n+market        12  1.5\r\n+e              7    -\r\n");
}

TEST(TableTest, HasNoBlanksBehindTheLastText) {
  const auto version = resp::protocol::resp2;
  const table what{{"at", "bus"},
                   {{std::string("x"), std::string("market")}, {std::string("yy"), std::string("e")}}};
  EXPECT_EQ(written(version, [&](resp::encoder& out) { write_table(out, version, what); }),
            "*3\r\n+at  bus\r\n+x   market\r\n+yy  e\r\n");
}

TEST(TableTest, IsMapsInRESP3) {
  const auto version = resp::protocol::resp3;
  EXPECT_EQ(written(version, [&](resp::encoder& out) { write_table(out, version, buses); }),
            "*2\r\n%3\r\n$3\r\nbus\r\n$6\r\nmarket\r\n$8\r\nrequests\r\n:12\r\n$3\r\np99\r\n$3\r\n1.5\r\n"
            "%3\r\n$3\r\nbus\r\n$1\r\ne\r\n$8\r\nrequests\r\n:7\r\n$3\r\np99\r\n_\r\n");
}

TEST(TableTest, PeopleReadThreeDecimalsAtMost) {
  EXPECT_EQ(text_of(0.0), "0");
  EXPECT_EQ(text_of(1.0), "1");
  EXPECT_EQ(text_of(100.0), "100");
  EXPECT_EQ(text_of(0.25), "0.25");
  EXPECT_EQ(text_of(2.0004), "2");
  EXPECT_EQ(text_of(1234567.8916), "1234567.892");
  EXPECT_EQ(text_of(-0.5), "-0.5");
  EXPECT_EQ(text_of(std::uint64_t{1} << 63), "9223372036854775808");
  EXPECT_EQ(text_of(cell()), "-");
  EXPECT_EQ(text_of(std::numeric_limits<double>::infinity()), "inf");
  EXPECT_EQ(text_of(std::numeric_limits<double>::max()).size(), 309U);
}

TEST(TableTest, RowsCanBePackedAndReadAgain) {
  std::mt19937 random(7);
  table before{{"a", "b", "c"}, {}}, after{{"a", "b", "c"}, {}};
  std::string packed;
  for (int row = 0; row < 300; ++row) {
    std::vector<cell> cells(3);
    for (cell& value : cells) {
      if (random() % 4 == 0) value = std::uint64_t{random()};
      if (random() % 4 == 0) value = static_cast<double>(random()) / 7;
      if (random() % 4 == 0) value = std::string(random() % 300, static_cast<char>(random()));
    }
    pack_row(packed, cells);
    before.rows.push_back(std::move(cells));
  }
  read_rows(after, packed);
  EXPECT_EQ(after.rows, before.rows);
}

}  // namespace
}  // namespace dualbus::console
