#include "session_fixture.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace dualbus::client {
namespace {

using metrics::close_reason;
using metrics::outcome;
using test::bulk;
using test::remote;
using test::repeat;
using test::request_of;
using test::user_called;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class SessionAccessTest : public test::SessionTest {
 protected:
  SessionAccessTest() {
    know_big();
    handler.commands["AUTH"] = [this](session& client, const request& taken) {
      const user* const who = access.find(taken.args[1]);
      if (who == nullptr) return client.refuse(taken, "WRONGPASS"), true;
      client.set_user(*who);
      client.acknowledge(taken, "+OK\r\n");
      return true;
    };
  }
  // A user who may do everything, and one who may not run CLIENT KILL.
  void set_usual_users() { set_users({user_called("root"), user_called("bob", {"+ping", "+get"})}); }
  std::vector<std::string> seen_of(const remote& of) const { return handler.seen_of(of.id); }

  std::vector<std::string> fates;  // of transactions, the last of which end with their clients
};

// What a client has queued or watches.
class stub_transaction final : public open_transaction {
 public:
  explicit stub_transaction(std::vector<std::string>& log) : log_(log) {}

  std::size_t bytes() const override { return 500; }
  std::size_t count() const override { return 3; }
  void spoil() override { log_.emplace_back("spoiled"); }
  void lose_watch() override { log_.emplace_back("watch lost"); }
  void follow(command::bus_index) override { log_.emplace_back("follows its bus"); }
  bool watches() const override { return false; }
  packed pack() const override { return {"", false, false}; }
  void destroy() override {
    log_.emplace_back("freed");
    delete this;
  }

 private:
  std::vector<std::string>& log_;
};

// --- standing

TEST_F(SessionAccessTest, WithoutUsersNobodyIsAStranger) {
  remote one = connect();
  EXPECT_FALSE(at(one).stranger());
  EXPECT_EQ(at(one).current_user(), nullptr);
  EXPECT_EQ(at(one).user_name(), "default");
}

TEST_F(SessionAccessTest, AClientIsAStrangerUntilItLogsIn) {
  set_usual_users();
  remote one = connect();
  EXPECT_TRUE(at(one).stranger());
  EXPECT_EQ(strangers.size(), 1U);
  EXPECT_EQ(exchange(one, "AUTH bob\r\n"), "+OK\r\n");
  EXPECT_FALSE(at(one).stranger());
  EXPECT_EQ(at(one).user_name(), "bob");
  EXPECT_EQ(at(one).current_user(), access.find("bob"));
  EXPECT_EQ(strangers.size(), 0U);
}

TEST_F(SessionAccessTest, AClientIsTheDefaultUserIfThatNeedsNoPassword) {
  config::user_settings open = user_called("default", {"+ping"});
  open.no_password = true;
  set_users({open});
  remote one = connect();
  EXPECT_FALSE(at(one).stranger());
  EXPECT_EQ(at(one).current_user(), access.find("default"));
}

TEST_F(SessionAccessTest, OnlyOrdinaryUsersUseUpTheirPlaces) {
  set_usual_users();
  EXPECT_TRUE(places.has_room_for_ordinary(1));
  remote admin = connect();
  EXPECT_EQ(exchange(admin, "AUTH root\r\n"), "+OK\r\n");
  EXPECT_TRUE(places.has_room_for_ordinary(1));
  remote one = connect();
  EXPECT_EQ(exchange(one, "AUTH bob\r\n"), "+OK\r\n");
  EXPECT_FALSE(places.has_room_for_ordinary(1));
  one.close();
  settle();
  EXPECT_TRUE(places.has_room_for_ordinary(1));
}

// --- what a stranger gets

TEST_F(SessionAccessTest, AStrangerMaySendShortRequestsOnly) {
  set_usual_users();
  remote large = connect(), many = connect(), line = connect(), parted = connect(), byte_more = connect();
  EXPECT_EQ(exchange(large, "*2\r\n$4\r\nECHO\r\n$16385\r\n"),
            "-ERR Protocol error: unauthenticated bulk length\r\n");
  EXPECT_EQ(exchange(many, "*11\r\n"), "-ERR Protocol error: unauthenticated multibulk length\r\n");
  EXPECT_EQ(exchange(line, std::string(21 << 10, 'x')),
            "-ERR Protocol error: unauthenticated bulk length\r\n");
  // In the client's own buffer.
  EXPECT_EQ(exchange(parted, "*3\r\n$4\r\nECHO\r\n$16000\r\n"), "");
  EXPECT_EQ(exchange(parted, std::string(16000, 'x') + "\r\n$16000\r\n"),
            "-ERR Protocol error: unauthenticated bulk length\r\n");
  EXPECT_EQ(closed_for(close_reason::protocol_error), 4U);
  EXPECT_EQ(exchange(byte_more, request_of({"ECHO", std::string(1000, 'x')})), bulk(std::string(1000, 'x')));
}

TEST_F(SessionAccessTest, WhoHasLoggedInMaySendLargeRequestsInTheSameRead) {
  set_usual_users();
  remote one = connect(), other = connect();
  const std::string large = request_of({"ECHO", std::string(30000, 'x')});
  EXPECT_EQ(exchange(one, "AUTH bob\r\n" + large), "+OK\r\n" + bulk(std::string(30000, 'x')));
  // The same from its own buffer, which was a stranger's.
  EXPECT_EQ(exchange(other, "AUTH b"), "");
  EXPECT_EQ(exchange(other, "ob\r\n" + large.substr(0, 1000)), "+OK\r\n");
  EXPECT_EQ(exchange(other, large.substr(1000)), bulk(std::string(30000, 'x')));
}

TEST_F(SessionAccessTest, TheLimitsOfAStrangerAreNotThoseOfTheNextClient) {
  set_users({});
  remote one = connect();
  set_usual_users();
  EXPECT_EQ(exchange(one, "AUTH root\r\n"), "+OK\r\n");
  remote stranger = connect();
  EXPECT_EQ(exchange(stranger, "ECHO a\r\n"), bulk("a"));
  EXPECT_EQ(exchange(one, request_of({"ECHO", std::string(30000, 'x')})), bulk(std::string(30000, 'x')));
}

TEST_F(SessionAccessTest, AStrangerIsOwedLittleOutput) {
  set_usual_users();
  remote unread = connect({.send_buffer = 4096}), kernel = connect(), modest = connect();
  unread.send("BIG 30000\r\n");
  settle();
  EXPECT_EQ(find(unread), nullptr);
  kernel.send(repeat("BIG 7000\r\n", 12));
  settle();
  EXPECT_EQ(find(kernel), nullptr) << "what the kernel keeps for it counts as well";
  EXPECT_EQ(exchange(modest, "BIG 7000\r\n"), bulk(std::string(7000, 'x')));
  EXPECT_NE(find(modest), nullptr);
  EXPECT_EQ(closed_for(close_reason::output_limit), 2U);
}

TEST_F(SessionAccessTest, AStrangerGetsNothingOfTheRoomThatOthersHadUsed) {
  set_usual_users();
  remote one = connect(), stranger = connect();
  EXPECT_EQ(exchange(one, "AUTH bob\r\n*2\r\n$4\r\nECHO\r\n$40000\r\n" + std::string(39'000, 'x')),
            "+OK\r\n");
  EXPECT_EQ(exchange(one, std::string(1000, 'x') + "\r\n"), bulk(std::string(40'000, 'x')));
  EXPECT_EQ(exchange(stranger, "PI"), "");
  EXPECT_LT(at(stranger).memory(), 1000U);
  EXPECT_EQ(exchange(stranger, "NG\r\n"), "+PONG\r\n");
}

// --- log-ins

TEST_F(SessionAccessTest, ALogInThatIsDelayedComesAgainWithAPermit) {
  set_usual_users();
  handler.commands["AUTH"] = [this](session& client, const request& taken) {
    if (!client.take_login_permit()) return client.delay_login(std::chrono::milliseconds(50)), false;
    client.set_user(*access.find("bob"));
    client.acknowledge(taken, "+OK\r\n");
    return true;
  };
  remote one = connect(), gone = connect();
  EXPECT_EQ(exchange(one, "AUTH bob\r\nPING\r\n"), "");
  EXPECT_EQ(exchange(gone, "AUTH bob\r\n"), "");
  at(gone).close(close_reason::client);
  pass(std::chrono::milliseconds(60));
  settle();
  EXPECT_EQ(one.receive(), "+OK\r\n+PONG\r\n");
  EXPECT_THAT(seen_of(one), ElementsAre("AUTH bob", "AUTH bob", "PING"));
  EXPECT_FALSE(at(one).take_login_permit()) << "it is used up";
  EXPECT_THAT(seen_of(gone), ElementsAre("AUTH bob"));
}

// --- a reload changes the users

TEST_F(SessionAccessTest, AfterAReloadAClientGoesOnAsTheUserOfThatName) {
  set_usual_users();
  remote one = connect();
  EXPECT_EQ(exchange(one, "AUTH bob\r\n"), "+OK\r\n");
  set_users({user_called("bob"), user_called("new")});
  ASSERT_NE(find(one), nullptr);
  EXPECT_EQ(at(one).current_user(), access.find("bob"));
  EXPECT_FALSE(places.has_room_for_ordinary(0));
  EXPECT_TRUE(places.has_room_for_ordinary(1)) << "bob is an admin now";
}

TEST_F(SessionAccessTest, WhoseUserIsGoneOrDisabledIsSentAway) {
  set_users({user_called("root"), user_called("bob"), user_called("eve")});
  remote gone = connect(), disabled = connect(), stranger = connect();
  EXPECT_EQ(exchange(gone, "AUTH bob\r\nGET a\r\n"), "+OK\r\n");
  EXPECT_EQ(exchange(disabled, "AUTH eve\r\n"), "+OK\r\n");
  config::user_settings eve = user_called("eve");
  eve.enabled = false;
  set_users({user_called("root"), eve});
  EXPECT_EQ(find(disabled), nullptr);
  ASSERT_NE(find(gone), nullptr) << "it is owed an answer";
  EXPECT_NE(find(stranger), nullptr);
  set_users({user_called("root")});  // once more while it goes
  handler.of("a").answer("+a\r\n");
  settle();
  EXPECT_EQ(gone.receive(), "+a\r\n");
  EXPECT_TRUE(gone.at_end());
  pass(std::chrono::seconds(1));
  settle();
  EXPECT_EQ(closed_for(close_reason::killed), 2U);
}

TEST_F(SessionAccessTest, WithoutUsersEverybodyIsFree) {
  set_usual_users();
  remote one = connect(), stranger = connect();
  EXPECT_EQ(exchange(one, "AUTH bob\r\n"), "+OK\r\n");
  set_users({});
  EXPECT_EQ(at(one).current_user(), nullptr);
  EXPECT_FALSE(at(stranger).stranger());
  EXPECT_EQ(strangers.size(), 0U);
  set_usual_users();
  EXPECT_TRUE(at(one).stranger()) << "a log-in of before does not count";
  EXPECT_EQ(strangers.size(), 2U);
}

// --- review

TEST_F(SessionAccessTest, WhoMayNotHearSomethingAnyMoreIsSentAway) {
  remote one = connect();
  at(one).set_subscriptions({.channels = 1});
  at(one).set_monitoring(true);
  handler.hearing = {{"MONITOR"}, {"SUBSCRIBE", "news"}};
  at(one).review();
  EXPECT_NE(find(one), nullptr);
  handler.denials["SUBSCRIBE"] = "NOPERM";
  EXPECT_EQ(exchange(one, "GET a\r\n"), "");
  at(one).review();
  EXPECT_THAT(handler.hears_no_more, ElementsAre(one.id));
  EXPECT_FALSE(at(one).monitoring());
  EXPECT_TRUE(at(one).leaving());
  handler.of("a").answer("+a\r\n");
  settle();
  EXPECT_EQ(one.receive(), "+a\r\n");
  EXPECT_TRUE(one.at_end());
}

TEST_F(SessionAccessTest, WhatWasQueuedOrWatchedFailsWhenTheUserIsGone) {
  remote queued = connect(), watches = connect();
  at(queued).set_transaction(open_transaction::pointer(new stub_transaction(fates)));
  at(queued).begin_transaction();
  at(watches).set_transaction(open_transaction::pointer(new stub_transaction(fates)));
  at(queued).review();
  EXPECT_THAT(fates, IsEmpty());
  set_usual_users();  // both are strangers now
  EXPECT_THAT(fates, testing::UnorderedElementsAre("spoiled", "watch lost", "watch lost"));
  EXPECT_EQ(at(queued).memory(), 500U);
  fates.clear();
  at(queued).end_transaction();
  EXPECT_THAT(fates, ElementsAre("freed"));
  EXPECT_EQ(at(queued).current_transaction(), nullptr);
}

TEST_F(SessionAccessTest, NoEvictIsTakenBackFromWhoMayNotAskForItAnyMore) {
  remote one = connect(), other = connect();
  at(one).set_evictable(false);
  at(one).review();
  EXPECT_FALSE(at(one).evictable());
  handler.denials["CLIENT"] = "NOPERM";
  at(one).review();
  at(other).review();
  EXPECT_TRUE(at(one).evictable());
  EXPECT_TRUE(at(other).evictable());
}

TEST_F(SessionAccessTest, AWaitThatWouldBeDeniedNowEndsWithThatError) {
  remote one = connect();
  at(one).review_wait();  // it owes nothing
  EXPECT_EQ(exchange(one, "BLPOP a 0\r\n"), "");
  handler.denials["BLPOP"] = "NOPERM no keys";
  at(one).review();
  EXPECT_EQ(handler.of("a").refused_with, "") << "the request says that it ends by itself";
  handler.of("a").lasting = {"BLPOP", "a", "0"};
  at(one).review();
  EXPECT_EQ(handler.of("a").refused_with, "NOPERM no keys");
  EXPECT_EQ(metrics.permission_denials, 1U);
  handler.of("a").can_end = false;
  at(one).review();
  EXPECT_EQ(metrics.permission_denials, 1U) << "it has not ended";
}

TEST_F(SessionAccessTest, AClientThatLeavesIsNotReviewed) {
  remote one = connect();
  EXPECT_EQ(exchange(one, "BLPOP a 0\r\n"), "");
  handler.of("a").asks_bus_first = true;
  handler.of("a").lasting = {"BLPOP", "a", "0"};
  handler.denials["BLPOP"] = "NOPERM no keys";
  at(one).leave(close_reason::killed);
  at(one).review();
  EXPECT_EQ(handler.of("a").refused_with, "");
}

TEST_F(SessionAccessTest, AWaitForKeysThatMovedEndsAsByUnblock) {
  remote one = connect();
  EXPECT_EQ(exchange(one, "BLPOP a 0\r\n"), "");
  at(one).review();
  EXPECT_THAT(handler.of("a").unblocked, IsEmpty());
  handler.of("a").is_misplaced = true;
  at(one).review();
  EXPECT_THAT(handler.of("a").unblocked, ElementsAre(false));
  remote other = connect();
  EXPECT_EQ(exchange(other, "GET b\r\n"), "");
  handler.of("b").is_misplaced = true;
  at(other).review();
  EXPECT_THAT(handler.of("b").unblocked, IsEmpty()) << "it does not wait";
}

// --- RESET

TEST_F(SessionAccessTest, ResetEndsEveryStateOfTheConnection) {
  set_usual_users();
  remote one = connect();
  EXPECT_EQ(exchange(one, "AUTH bob\r\n"), "+OK\r\n");
  session& client = at(one);
  client.set_subscriptions({.channels = 2});
  client.set_monitoring(true);
  client.set_protocol(resp::protocol::resp3);
  client.set_database(3);
  client.set_name("risk");
  client.set_transaction(open_transaction::pointer(new stub_transaction(fates)));
  client.begin_transaction();
  client.replies().set_mode(reply_queue::mode::off);
  EXPECT_EQ(engines.of("risk").connections, 1U);
  EXPECT_EQ(client.database(), 3);
  client.reset();
  EXPECT_THAT(handler.hears_no_more, ElementsAre(one.id));
  EXPECT_FALSE(client.monitoring());
  EXPECT_EQ(client.protocol(), resp::protocol::resp2);
  EXPECT_EQ(client.database(), 0);
  EXPECT_TRUE(client.stranger());
  EXPECT_EQ(client.current_names()->client, "");
  EXPECT_EQ(engines.of("risk").connections, 0U);
  EXPECT_THAT(fates, ElementsAre("freed"));
  EXPECT_FALSE(client.in_transaction());
  EXPECT_FALSE(client.replies().mutes());
  EXPECT_EQ(client.memory(), 0U);
}

TEST_F(SessionAccessTest, AfterResetAReloadTreatsAClientAsOneThatHasNotLoggedIn) {
  set_usual_users();
  remote one = connect();
  EXPECT_EQ(exchange(one, "AUTH bob\r\n"), "+OK\r\n");
  at(one).reset();
  config::user_settings open = user_called("default");
  open.no_password = true;
  set_users({open});
  ASSERT_NE(find(one), nullptr);
  EXPECT_EQ(at(one).current_user(), access.find("default"));
  EXPECT_FALSE(at(one).stranger());
}

// --- names and the description

TEST_F(SessionAccessTest, NamesCountAsMemoryOfTheClient) {
  remote one = connect();
  EXPECT_EQ(at(one).current_names(), nullptr);
  at(one).set_name("engine");
  at(one).rename(at(one).mutable_names().library, "lib");
  at(one).note_own(100);
  EXPECT_EQ(at(one).memory(), 109U);
  EXPECT_EQ(memory.used_bytes(), 109U);
  at(one).set_name("e");
  EXPECT_EQ(at(one).memory(), 104U);
  EXPECT_EQ(&at(one).engine(), &engines.of("e"));
}

TEST_F(SessionAccessTest, ADescriptionHasTheFieldsOfClientList) {
  remote one = connect({.tcp = true});
  const std::string fd = at(one).describe().substr(at(one).describe().find(" fd=") + 4);
  const std::string number = fd.substr(0, fd.find(' '));
  EXPECT_EQ(at(one).describe(),
            "id=" + std::to_string(one.id) + " addr=:0 laddr=:0 fd=" + number +
                " name= age=0 idle=0 flags=N db=0 sub=0 psub=0 ssub=0 multi=-1 qbuf=0 qbuf-free=0 argv-mem=0 "
                "multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem=0 tot-mem=" +
                std::to_string(sizeof(session)) +
                " events=r cmd=NULL user=default redir=-1 resp=2 lib-name= lib-ver=");
  EXPECT_EQ(exchange(one, "PING\r\n"), "+PONG\r\n");
  EXPECT_THAT(at(one).describe(), HasSubstr(" cmd=ping "));
  EXPECT_THAT(at(one).describe("client|list", 40),
              testing::AllOf(HasSubstr(" cmd=client|list "), HasSubstr(" qbuf=40 ")));
}

TEST_F(SessionAccessTest, ADescriptionTellsEveryStateOfTheClient) {
  remote one = connect(), waits = connect(), part = connect();
  session& client = at(one);
  pass(std::chrono::seconds(7));
  EXPECT_EQ(exchange(one, "PING\r\n"), "+PONG\r\n");
  pass(std::chrono::seconds(2));
  run_turn();
  client.set_monitoring(true);
  client.set_subscriptions({.channels = 1, .patterns = 2, .shard_channels = 3});
  client.set_transaction(open_transaction::pointer(new stub_transaction(fates)));
  client.begin_transaction();
  client.set_evictable(false);
  client.set_database(5);
  client.set_protocol(resp::protocol::resp3);
  client.set_name("risk-1");
  client.mutable_names().library = "lib";
  client.mutable_names().library_version = "2.0";
  const std::string told = client.describe();
  EXPECT_EQ(client.age(), std::chrono::seconds(9));
  for (const char* field :
       {" name=risk-1 ", " age=9 ", " idle=2 ", " flags=OPxUe ", " db=5 ", " sub=1 psub=2 ssub=3 ",
        " multi=3 ", " multi-mem=500 ", " resp=3 ", " lib-name=lib lib-ver=2.0"}) {
    EXPECT_THAT(told, HasSubstr(field));
  }
  EXPECT_EQ(exchange(waits, "BLPOP a 0\r\n"), "");
  EXPECT_THAT(at(waits).describe(), HasSubstr(" flags=bU "));
  EXPECT_EQ(exchange(part, "*2\r\n$4\r\nECHO\r\n"), "");
  EXPECT_THAT(at(part).describe(), HasSubstr(" qbuf=14 "));
}

TEST_F(SessionAccessTest, APollsPaceIsTheClients) {
  remote one = connect();
  at(one).pace().served = turn.now;
  EXPECT_EQ(at(one).pace().served, turn.now);
  EXPECT_EQ(at(one).pace().absorbed, base::time_point{});
  EXPECT_EQ(&at(one).chunks(), &chunks);
}

// --- SLOWLOG

class SessionSlowLogTest : public SessionAccessTest {
 protected:
  void keep(bool arguments) {
    slow_log.configure(
        {.threshold = std::chrono::milliseconds(10), .max_entries = 5, .arguments = arguments});
  }
  void answer_after(const std::string& name, std::chrono::milliseconds time) {
    pass(time);
    run_turn();
    handler.of(name).answer("+x\r\n");
    settle();
  }
};

TEST_F(SessionSlowLogTest, ARequestThatTookLongIsKept) {
  keep(false);
  remote one = connect();
  at(one).set_name("engine");
  EXPECT_EQ(exchange(one, "GET fast\r\nGET a\r\n"), "");
  handler.of("fast").answer("+x\r\n");
  pass(std::chrono::milliseconds(50));
  run_turn();
  times.add(0, turn.now - std::chrono::milliseconds(50), std::chrono::milliseconds(30));
  handler.of("a").answer("+x\r\n");
  settle();
  ASSERT_EQ(slow_log.entries().size(), 1U);
  const slow_entry& entry = slow_log.entries().front();
  EXPECT_THAT(entry.arguments, ElementsAre("get"));
  EXPECT_EQ(entry.client_name, "engine");
  EXPECT_EQ(entry.address, ":0");
  EXPECT_EQ(entry.micros, 50'000);
  EXPECT_EQ(entry.bus_micros, 30'000);
  EXPECT_GT(entry.time, 0);
}

TEST_F(SessionSlowLogTest, ItsArgumentsAreKeptIfTheConfigurationSaysSo) {
  keep(true);
  remote one = connect();
  EXPECT_EQ(exchange(one, request_of({"GET", "a"})), "");
  answer_after("a", std::chrono::milliseconds(20));
  ASSERT_EQ(slow_log.entries().size(), 1U);
  EXPECT_THAT(slow_log.entries().front().arguments, ElementsAre("GET", "a"));
}

TEST_F(SessionSlowLogTest, NeitherAWaitNorAnUnknownCommandIsSlow) {
  keep(true);
  handler.commands["NONSENSE"] = [this](session& client, const request& taken) {
    handler.ask(client, taken);
    return true;
  };
  remote one = connect();
  EXPECT_EQ(exchange(one, "NONSENSE u\r\nBLPOP a 0\r\n"), "");
  pass(std::chrono::milliseconds(50));
  run_turn();
  handler.of("u").answer("+x\r\n");
  handler.of("a").bring("+x\r\n");
  settle();
  EXPECT_EQ(one.receive(), "+x\r\n+x\r\n");
  EXPECT_THAT(slow_log.entries(), IsEmpty());
}

}  // namespace
}  // namespace dualbus::client
