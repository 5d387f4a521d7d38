#include "message.hpp"

#include <dualbus/resp/request_parser.hpp>

#include <array>
#include <map>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dualbus::fleet {
namespace {

std::string bytes_of(const base::chunk_queue& queue) {
  std::array<iovec, 64> vectors;
  const int count = queue.gather(vectors.data(), static_cast<int>(vectors.size()));
  std::string bytes;
  for (int i = 0; i < count; ++i)
    bytes.append(static_cast<const char*>(vectors[i].iov_base), vectors[i].iov_len);
  return bytes;
}

TEST(MessageTest, IsAnXaddWithTheFieldsOfTheLegacyClient) {
  message_builder builder("ml", "ml-2", 200, 100'000);
  builder.begin(41);
  base::chunk_pool pool(4096, 4);
  base::chunk_queue out(pool);
  builder.append(out, "nautilus-risk-streams", *find_type("ml_prediction"), {0xabc, 7, 12});
  const std::string bytes = bytes_of(out);
  resp::request_parser parser;
  ASSERT_EQ(parser.parse(bytes), resp::parse_status::complete);
  EXPECT_EQ(parser.consumed(), bytes.size());
  const resp::arguments args = parser.args();
  EXPECT_THAT(std::vector<std::string_view>(args.begin(), args.begin() + 6),
              testing::ElementsAre("XADD", "nautilus-risk-streams", "MAXLEN", "~", "100000", "*"));
  std::map<std::string_view, std::string_view> fields;
  for (std::size_t i = 6; i + 1 < args.size(); i += 2) fields[args[i]] = args[i + 1];
  EXPECT_EQ(fields["message_type"], "ml_prediction");
  EXPECT_EQ(fields["source_engine"], "ml");
  EXPECT_EQ(fields["source_instance"], "ml-2");
  EXPECT_EQ(fields["priority"], "normal");
  EXPECT_EQ(fields["payload"], builder.payload());
  EXPECT_EQ(parse_message_name(fields["correlation_id"]), (message_name{0xabc, 7, 12}));
  EXPECT_THAT(std::string(fields["timestamp"]), testing::MatchesRegex("[0-9]+\\.[0-9]+"));
}

TEST(MessageTest, ThePayloadIsAJsonObjectOfTheWantedLength) {
  for (std::size_t bytes = message_builder::min_payload_bytes; bytes < 400; ++bytes) {
    message_builder builder("ml", "ml-2", bytes, 1);
    builder.begin(123'456);
    const std::string payload(builder.payload());
    // A payload that is too short for one more field stays shorter.
    EXPECT_LE(payload.size(), bytes);
    EXPECT_GE(payload.size() + 100, bytes);
    EXPECT_THAT(payload, testing::StartsWith("{\""));
    EXPECT_THAT(payload, testing::EndsWith("}"));
    EXPECT_THAT(payload, testing::HasSubstr(" 123456"));
  }
  EXPECT_EQ(message_builder("ml", "ml-2", 300, 1).payload().size(), 300U);
}

TEST(MessageTest, NamesComeBackAsTheyWereAndNothingElseIsOne) {
  for (const message_name& name : {message_name{0, 0, 0}, {0xffffffff, 17, ~std::uint64_t{0}}, {1, 2, 3}}) {
    EXPECT_EQ(parse_message_name(format(name)), name);
  }
  for (const char* text : {"", "1", "1-2", "1-2-", "-1-2-3", "1-2-3-", "1-2-3 ", "x-2-3", "1--3",
                           "100000000-1-1", "6d8a9f0e-0b5e-4d3c-9f3e-2f1a7c1d2b3a"}) {
    EXPECT_EQ(parse_message_name(text), std::nullopt) << text;
  }
}

TEST(MessageTest, EveryTypeHasItsBus) {
  EXPECT_EQ(bus_of(*find_type("cache_updates")), bus_class::marketdata);
  EXPECT_EQ(bus_of(*find_type("vpin_calculation")), bus_class::engine_logic);
  EXPECT_EQ(find_type("of nobody"), std::nullopt);
  for (std::size_t type = 0; type < type_names().size(); ++type) {
    EXPECT_EQ(find_type(type_names()[type]), type);
    EXPECT_EQ(bus_of(static_cast<message_type>(type)) == bus_class::marketdata, type < marketdata_types());
  }
}

}  // namespace
}  // namespace dualbus::fleet
