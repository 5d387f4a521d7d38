#include "processes.hpp"

#include <dualbus/admin/sentinel_watch.hpp>
#include <dualbus/base/clock.hpp>
#include <dualbus/base/socket.hpp>

#include <atomic>
#include <cerrno>
#include <list>
#include <mutex>
#include <poll.h>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

// The watch before real Redis servers, and Sentinels that say what a test wants.
namespace dualbus::admin {
namespace {

using namespace std::chrono_literals;
using test::eventually;
using test::redis_process;
using testing::ElementsAre;
using testing::HasSubstr;

std::string bulk(const std::string& text) {
  return "$" + std::to_string(text.size()) + "\r\n" + text + "\r\n";
}

// Answers the three questions of a sentinel_link, and everything else with +OK.
class fake_sentinel {
 public:
  fake_sentinel() : fd_(base::listen_tcp("127.0.0.1", 0, 16, false)), thread_([this] { serve(); }) {}
  ~fake_sentinel() {
    ending_ = true;
    thread_.join();
  }
  std::string endpoint() const { return base::local_name(fd_.get()); }
  std::uint16_t port() const {
    return static_cast<std::uint16_t>(std::stoi(endpoint().substr(endpoint().rfind(':') + 1)));
  }

  void name(std::uint16_t port, int epoch = 1) {
    answer("*2\r\n" + bulk("127.0.0.1") + bulk(std::to_string(port)));
    const std::scoped_lock lock(mutex_);
    epoch_ = epoch;
  }
  /// To the question for the address; empty: never answers.
  void answer(std::string bytes) {
    const std::scoped_lock lock(mutex_);
    address_ = std::move(bytes);
  }
  void knows(std::uint16_t port) {
    const std::scoped_lock lock(mutex_);
    others_ = "*1\r\n*4\r\n" + bulk("ip") + bulk("127.0.0.1") + bulk("port") + bulk(std::to_string(port));
  }
  /// Says something to all who listen.
  void announce(const std::string& bytes) {
    const std::scoped_lock lock(mutex_);
    announced_ += bytes;
  }
  int questions() const { return questions_; }
  bool listened_to() const { return listeners_ > 0; }
  std::string heard() const {
    const std::scoped_lock lock(mutex_);
    return heard_;
  }

 private:
  struct peer {
    base::unique_fd fd;
    bool listens = false;
  };

  void serve() {
    std::list<peer> peers;
    while (!ending_) {
      std::vector<pollfd> waiting = {{fd_.get(), POLLIN, 0}};
      for (const peer& p : peers) waiting.push_back({p.fd.get(), POLLIN, 0});
      ::poll(waiting.data(), waiting.size(), 5);
      if (waiting[0].revents != 0)
        peers.push_back({base::unique_fd(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC))});
      std::size_t at = 1;
      for (auto p = peers.begin(); p != peers.end() && at < waiting.size(); ++at) {
        p = waiting[at].revents == 0 || converse(*p) ? std::next(p) : peers.erase(p);
      }
      const std::scoped_lock lock(mutex_);
      for (const peer& p : peers) {
        if (p.listens) send(p, announced_);
      }
      announced_.clear();
    }
  }

  static void send(const peer& p, const std::string& bytes) {
    [[maybe_unused]] const auto sent = ::send(p.fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }

  bool converse(peer& p) {
    char bytes[4096];
    const ssize_t got = ::recv(p.fd.get(), bytes, sizeof bytes, 0);
    if (got <= 0) return false;
    const std::string asked(bytes, static_cast<std::size_t>(got));
    const std::scoped_lock lock(mutex_);
    heard_ += asked;
    if (asked.find("SUBSCRIBE") != std::string::npos) {
      p.listens = true;
      ++listeners_;
      return true;
    }
    if (asked.find("GET-MASTER-ADDR-BY-NAME") == std::string::npos) {
      send(p, "+OK\r\n");
      return true;
    }
    ++questions_;
    if (!address_.empty())
      send(p, address_ + "*2\r\n" + bulk("config-epoch") + bulk(std::to_string(epoch_)) + others_);
    return true;
  }

  base::unique_fd fd_;
  mutable std::mutex mutex_;
  std::string address_ = "*-1\r\n", others_ = "*0\r\n", announced_, heard_;
  int epoch_ = 1;
  std::atomic<int> questions_ = 0, listeners_ = 0;
  std::atomic<bool> ending_ = false;
  std::thread thread_;
};

config::server_address at(std::uint16_t port) {
  return {"127.0.0.1", port, "", "127.0.0.1:" + std::to_string(port)};
}

class watched {
 public:
  explicit watched(const std::vector<std::uint16_t>& sentinels, const std::string& password = {}) {
    configuration_.backend.connect_timeout = 300ms;
    configuration_.listen.port = 1;
    // The log limits lines per bus.
    configuration_.routing.buses.push_back(
        {testing::UnitTest::GetInstance()->current_test_info()->name(), 1, false});
    config::bus_settings& bus = configuration_.buses.emplace_back();
    bus.password = password;
    bus.sentinel.master = "engines";
    bus.sentinel.password = "of-sentinels";
    for (const std::uint16_t port : sentinels) bus.sentinel.sentinels.push_back(at(port));
  }
  config::configuration& configuration() { return configuration_; }
  sentinel_watch& start() {
    watch_.emplace(configuration_, [this](std::size_t, const config::server_address& master) {
      const std::scoped_lock lock(mutex_);
      found_.push_back(master.port);
    });
    watch_->start();
    return *watch_;
  }
  sentinel_watch& operator*() { return *watch_; }
  sentinel_watch* operator->() { return &*watch_; }
  sentinel_status status() const { return watch_->status().at(0); }
  std::vector<std::uint16_t> found() const {
    const std::scoped_lock lock(mutex_);
    return found_;
  }
  bool finds(std::uint16_t port) const {
    return eventually([&] { return !found().empty() && found().back() == port; });
  }

 private:
  config::configuration configuration_;
  mutable std::mutex mutex_;
  std::vector<std::uint16_t> found_;
  std::optional<sentinel_watch> watch_;
};

TEST(SentinelWatchTest, FindsTheMaster) {
  const redis_process redis({"--requirepass", "of-redis"});
  fake_sentinel sentinel;
  sentinel.name(redis.port());
  watched subject({sentinel.port()}, "of-redis");
  subject.start().await_first(5s);
  EXPECT_THAT(subject.found(), ElementsAre(redis.port()));
  EXPECT_EQ(subject.status().master, at(redis.port()));
  EXPECT_TRUE(eventually([&] { return subject.status().up; }));
  EXPECT_EQ(subject.status().failovers, 0u);
  // Each of the two passwords goes where it belongs.
  EXPECT_THAT(sentinel.heard(), HasSubstr("of-sentinels"));
  EXPECT_THAT(sentinel.heard(), testing::Not(HasSubstr("of-redis")));
}

TEST(SentinelWatchTest, FollowsAnAnnouncementAtOnceAndBelievesOnlyTheAnswer) {
  const redis_process first, second;
  fake_sentinel sentinel;
  sentinel.name(first.port());
  watched subject({sentinel.port()});
  subject.start();
  ASSERT_TRUE(subject.finds(first.port()) && eventually([&] { return sentinel.listened_to(); }));
  const int before = sentinel.questions();
  sentinel.announce("*3\r\n$7\r\nmessage\r\n$14\r\n+switch-master\r\n" +
                    bulk("engines 127.0.0.1 1 127.0.0.1 " + std::to_string(second.port())));
  ASSERT_TRUE(eventually([&] { return sentinel.questions() > before; }, 1500ms));
  EXPECT_THAT(subject.found(), ElementsAre(first.port()));
  sentinel.name(second.port(), 2);
  sentinel.announce("anything");
  EXPECT_TRUE(subject.finds(second.port()));
  EXPECT_EQ(subject.status().failovers, 1u);
}

TEST(SentinelWatchTest, AsksWhenABusHasLostItsServer) {
  const redis_process first, second;
  fake_sentinel sentinel;
  sentinel.name(first.port());
  watched subject({sentinel.port()});
  subject.start();
  ASSERT_TRUE(subject.finds(first.port()));
  sentinel.name(second.port(), 2);
  subject->look(0);
  EXPECT_TRUE(eventually([&] { return subject.found().back() == second.port(); }, 1500ms));
}

TEST(SentinelWatchTest, AsksByItselfToo) {
  const redis_process first, second;
  fake_sentinel sentinel;
  sentinel.name(first.port());
  watched subject({sentinel.port()});
  subject.start();
  ASSERT_TRUE(subject.finds(first.port()));
  sentinel.name(second.port(), 2);
  EXPECT_TRUE(subject.finds(second.port()));
}

TEST(SentinelWatchTest, ReplicasAreNotUsed) {
  const redis_process master;
  const redis_process replica({"--replicaof", "127.0.0.1", std::to_string(master.port())});
  fake_sentinel liar, honest;
  liar.name(replica.port(), 9);
  honest.name(master.port(), 1);
  watched subject({liar.port(), honest.port()});
  subject.start();
  EXPECT_TRUE(subject.finds(master.port()));
  EXPECT_THAT(subject.found(), ElementsAre(master.port()));
  EXPECT_GE(subject.status().refused_masters, 1u);
}

TEST(SentinelWatchTest, AReplicaThatIsPromotedIsUsedThen) {
  const redis_process master;
  const redis_process replica({"--replicaof", "127.0.0.1", std::to_string(master.port())});
  fake_sentinel sentinel;
  sentinel.name(replica.port());
  watched subject({sentinel.port()});
  subject.start();
  ASSERT_TRUE(eventually([&] { return subject.status().refused_masters > 0; }));
  EXPECT_THAT(subject.found(), testing::IsEmpty());
  replica.command("REPLICAOF NO ONE");
  EXPECT_TRUE(subject.finds(replica.port()));
}

TEST(SentinelWatchTest, SentinelsThatAreOfNoUseHarmNothing) {
  const redis_process redis;
  const std::uint16_t nobody = test::free_port();
  for (const std::string& answer :
       {std::string("*-1\r\n"), std::string("-NOAUTH Authentication required.\r\n"),
        std::string("garbage\r\n"), std::string("*2\r\n$-1\r\n$-1\r\n"), std::string("+127.0.0.1\r\n"),
        std::string(), "$500000\r\n" + std::string(500'000, 'x') + "\r\n", std::string("*1000000000\r\n"),
        "*2\r\n" + bulk("127.0.0.1") + bulk(std::to_string(nobody)),  // nowhere
        "*2\r\n" + bulk("no-such-host.invalid") + bulk("6379")}) {
    fake_sentinel useless, good;
    useless.answer(answer);
    good.name(redis.port());
    watched subject({useless.port(), nobody, good.port()});
    subject.start();
    EXPECT_TRUE(subject.finds(redis.port())) << answer.substr(0, 40);
    EXPECT_THAT(subject.found(), ElementsAre(redis.port())) << answer.substr(0, 40);
  }
}

TEST(SentinelWatchTest, ASentinelThatNamesItselfIsRefused) {
  const redis_process redis;
  fake_sentinel sentinel;
  sentinel.name(sentinel.port());
  watched subject({sentinel.port()});
  subject.start();
  ASSERT_TRUE(eventually([&] { return subject.status().refused_masters > 0; }));
  EXPECT_THAT(subject.found(), testing::IsEmpty());
}

TEST(SentinelWatchTest, TheDaemonItselfIsRefused) {
  const redis_process redis;  // says that it is a master, as the daemon does
  fake_sentinel sentinel;
  sentinel.name(redis.port());
  watched subject({sentinel.port()});
  subject.configuration().listen.port = redis.port();
  subject.start();
  ASSERT_TRUE(eventually([&] { return subject.status().refused_masters > 0; }));
  EXPECT_THAT(subject.found(), testing::IsEmpty());
}

TEST(SentinelWatchTest, WaitsForTheFirstSentinel) {
  const redis_process redis;
  const std::uint16_t port = test::free_port();
  watched subject({port});
  subject.start().await_first(5s);  // once in vain is enough
  EXPECT_FALSE(subject.status().up);
  EXPECT_THAT(subject.status().error, HasSubstr(std::to_string(port)));
  EXPECT_GE(subject.status().failures, 1u);
}

TEST(SentinelWatchTest, GoesToAnotherSentinelAndKnowsThoseThatTheFirstNamed) {
  const redis_process first, second;
  fake_sentinel learnt;
  learnt.name(first.port());
  watched subject({});
  {
    fake_sentinel configured;
    configured.name(first.port());
    configured.knows(learnt.port());
    subject.configuration().buses[0].sentinel.sentinels.push_back(at(configured.port()));
    subject.start();
    ASSERT_TRUE(subject.finds(first.port()));
    ASSERT_TRUE(eventually([&] { return subject.status().known == 2; }));
  }
  learnt.name(second.port(), 2);
  EXPECT_TRUE(subject.finds(second.port()));
  EXPECT_TRUE(
      eventually([&] { return subject.status().sentinel == "127.0.0.1:" + std::to_string(learnt.port()); }));
}

TEST(SentinelWatchTest, OlderKnowledgeLeadsNobodyBack) {
  const redis_process before, now;  // both say that they are masters: the one before has just come back
  fake_sentinel stale, current, third;
  stale.name(before.port(), 1);
  current.name(now.port(), 2);
  third.answer("");
  watched subject({stale.port(), current.port(), third.port()});
  subject.start();
  ASSERT_TRUE(subject.finds(now.port()));
  current.answer("");
  const int asked = stale.questions();
  subject->look(0);
  ASSERT_TRUE(eventually([&] { return stale.questions() >= asked + 2; }));
  EXPECT_THAT(subject.found(), ElementsAre(now.port()));
}

TEST(SentinelWatchTest, AFloodOfAnnouncementsLeadsToFewQuestions) {
  const redis_process redis;
  fake_sentinel sentinel;
  sentinel.name(redis.port());
  watched subject({sentinel.port()});
  subject.start();
  ASSERT_TRUE(subject.finds(redis.port()) && eventually([&] { return sentinel.listened_to(); }));
  const int before = sentinel.questions();
  for (int i = 0; i < 100; ++i) {
    sentinel.announce(std::string(10'000, 'x'));
    std::this_thread::sleep_for(10ms);
  }
  EXPECT_LE(sentinel.questions() - before, 12);  // a second, or a little more on a busy machine
  EXPECT_GE(sentinel.questions() - before, 1);
}

TEST(SentinelWatchTest, StopsAtOnceWhileASentinelDoesNotAnswer) {
  fake_sentinel silent;
  silent.answer("");
  watched subject({silent.port()});
  subject.configuration().backend.connect_timeout = 60s;
  subject.start();
  ASSERT_TRUE(eventually([&] { return silent.questions() > 0; }));
  const base::time_point begun = base::clock::now();
  subject->stop();
  EXPECT_LT(base::clock::now() - begun, 5s);
}

}  // namespace
}  // namespace dualbus::admin
