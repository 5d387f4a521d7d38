#include "ctl/api_client.hpp"
#include "ctl/top.hpp"

#include <stdexcept>
#include <string>

#include <gtest/gtest.h>

namespace dualbus::ctl {
namespace {

TEST(ApiClientTest, KnowsAddresses) {
  EXPECT_EQ(api_client("http://127.0.0.1").address(), "127.0.0.1:9121");
  EXPECT_EQ(api_client("http://bus.example:80/").address(), "bus.example:80");
  EXPECT_EQ(api_client("http://[::1]:9121").address(), "[::1]:9121");
  EXPECT_EQ(api_client("http://[::1]").address(), "[::1]:9121");
}

TEST(ApiClientTest, RefusesWhatIsNoAddress) {
  for (const char* url : {"", "127.0.0.1:9121", "https://127.0.0.1", "http://", "http://:80",
                          "http://a:", "http://a:x", "http://["})
    EXPECT_THROW(api_client{url}, std::invalid_argument) << url;
}

TEST(ApiClientTest, EncodesWordsForAQuery) {
  EXPECT_EQ(encoded("a-z_0.9~"), "a-z_0.9~");
  EXPECT_EQ(encoded("a b&c=+%"), "a%20b%26c%3D%2B%25");
  EXPECT_EQ(encoded("\xc3\xa9\n"), "%C3%A9%0A");
}

TEST(TopTest, KeysChooseTableOrderAndWindow) {
  top_view view;
  EXPECT_TRUE(top_key(view, 'f'));
  EXPECT_EQ(view.order, "failed_10s");
  EXPECT_TRUE(top_key(view, '1'));
  EXPECT_EQ(view.order, "requests_1s");
  EXPECT_TRUE(top_key(view, 't'));
  EXPECT_EQ(view.table, "types");
  EXPECT_EQ(view.order, "messages_1s");
  EXPECT_TRUE(top_key(view, 'n'));
  EXPECT_EQ(view.order, "type");
  EXPECT_TRUE(top_key(view, 'c'));
  EXPECT_EQ(view.order, "id");
  EXPECT_TRUE(top_key(view, 'e'));
  EXPECT_EQ(view.order, "requests_1s");
  EXPECT_TRUE(top_key(view, '?'));
  EXPECT_FALSE(top_key(view, 'q'));
}

}  // namespace
}  // namespace dualbus::ctl
