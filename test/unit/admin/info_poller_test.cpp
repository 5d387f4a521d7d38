#include "admin/info_poller.hpp"

#include "processes.hpp"

#include <dualbus/base/clock.hpp>
#include <dualbus/base/log.hpp>
#include <dualbus/base/socket.hpp>

#include <atomic>
#include <cerrno>
#include <memory>
#include <mutex>
#include <poll.h>
#include <signal.h>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/base_sink.h>

namespace dualbus::admin {
namespace {

using namespace std::chrono_literals;
using test::eventually;
using test::redis_process;
using testing::HasSubstr;

config::bus_settings tcp_bus(std::uint16_t port, const std::string& host = "127.0.0.1") {
  config::bus_settings bus;
  bus.host = host;
  bus.port = port;
  bus.endpoint = host + ":" + std::to_string(port);
  return bus;
}

info_poller::settings fast() {
  info_poller::settings timing;
  timing.interval = 50ms;
  timing.connect_timeout = 500ms;
  timing.reply_timeout = 300ms;
  timing.backoff_min = 20ms;
  timing.backoff_max = 100ms;
  return timing;
}

struct started_poller {
  explicit started_poller(std::vector<config::bus_settings> buses, info_poller::settings timing = fast())
      : poller({own_name(), "engine_logic"}, std::move(buses), {}, timing) {
    poller.start();
  }
  // The log limits lines per bus, and each test is to see its own.
  static std::string own_name() { return testing::UnitTest::GetInstance()->current_test_info()->name(); }
  bus_status of(std::size_t bus) const { return poller.status()[bus]; }
  bool becomes_up(std::size_t bus = 0) const {
    return eventually([&] { return of(bus).up; });
  }
  bool becomes_down(std::size_t bus = 0) const {
    return eventually([&] { return !of(bus).up && !of(bus).error.empty(); });
  }
  info_poller poller;
};

base::duration time_to_stop(info_poller& poller) {
  const base::time_point begun = base::clock::now();
  poller.stop();
  return base::clock::now() - begun;
}

// Collects the log of a test; the poller's threads end before it does.
class captured_log {
 public:
  captured_log() : previous_(spdlog::default_logger()) {
    spdlog::set_default_logger(std::make_shared<spdlog::logger>("test", sink_));
  }
  ~captured_log() { spdlog::set_default_logger(previous_); }
  std::size_t count(const std::string& part) const {
    const std::string text = sink_->text();
    std::size_t found = 0;
    for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
    return found;
  }

 private:
  class memory_sink : public spdlog::sinks::base_sink<std::mutex> {
   public:
    std::string text() {
      const std::scoped_lock lock(mutex_);
      return text_;
    }

   private:
    void sink_it_(const spdlog::details::log_msg& message) override {
      text_.append(spdlog::level::to_string_view(message.level).data());
      text_.append(" ").append(message.payload.data(), message.payload.size()).append("\n");
    }
    void flush_() override {}
    std::string text_;
  };
  std::shared_ptr<memory_sink> sink_ = std::make_shared<memory_sink>();
  std::shared_ptr<spdlog::logger> previous_;
};

// Sends every connection the same bytes, whatever it asked, and then nothing more.
class talking_server {
 public:
  explicit talking_server(std::string bytes)
      : fd_(base::listen_tcp("127.0.0.1", 0, 16, false)),
        bytes_(std::move(bytes)),
        thread_([this] { serve(); }) {}
  /// Its clients must be gone.
  ~talking_server() {
    ::shutdown(fd_.get(), SHUT_RDWR);
    thread_.join();
  }
  std::uint16_t port() const {
    const std::string name = base::local_name(fd_.get());
    return static_cast<std::uint16_t>(std::stoi(name.substr(name.rfind(':') + 1)));
  }
  int asked() const { return asked_; }

 private:
  void serve() {
    for (;;) {
      pollfd waiting{fd_.get(), POLLIN, 0};
      ::poll(&waiting, 1, -1);
      const base::unique_fd peer(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!peer && errno != EAGAIN && errno != ECONNABORTED) return;
      char request[256];
      if (!peer || ::recv(peer.get(), request, sizeof request, 0) <= 0) continue;
      ++asked_;
      [[maybe_unused]] const auto sent = ::send(peer.get(), bytes_.data(), bytes_.size(), MSG_NOSIGNAL);
      while (::recv(peer.get(), request, sizeof request, 0) > 0) {
      }
    }
  }

  base::unique_fd fd_;
  const std::string bytes_;
  std::atomic<int> asked_ = 0;
  std::thread thread_;
};

TEST(InfoPollerTest, ReadsInfoAgainAndAgainOverOneConnection) {
  const redis_process redis;
  const started_poller subject({tcp_bus(redis.port())});
  ASSERT_TRUE(eventually([&] { return subject.of(0).polls >= 5; }));
  const bus_status status = subject.of(0);
  EXPECT_TRUE(status.up);
  EXPECT_EQ(status.info->commands.at("client|setname").calls, 1);
  EXPECT_GE(status.info->commands.at("info").calls, 4);
  EXPECT_THAT(redis.command("CLIENT LIST"), HasSubstr("name=dualbusd-info"));
}

TEST(InfoPollerTest, WorksOverAUnixSocket) {
  const redis_process redis;
  config::bus_settings bus;
  bus.unix_socket = redis.socket_path();
  const started_poller subject({bus});
  EXPECT_TRUE(subject.becomes_up());
}

TEST(InfoPollerTest, ResolvesHostNames) {
  const redis_process redis;
  const started_poller subject({tcp_bus(redis.port(), "localhost")});
  EXPECT_TRUE(subject.becomes_up());
}

TEST(InfoPollerTest, SaysThatAHostNameIsUnknown) {
  started_poller subject({tcp_bus(6379, "no-such-host.invalid")});
  ASSERT_TRUE(subject.becomes_down());
  EXPECT_THAT(subject.of(0).error, HasSubstr("no-such-host.invalid"));
  EXPECT_LT(time_to_stop(subject.poller), 1s);
}

TEST(InfoPollerTest, AuthenticatesWithPasswordAndUser) {
  const redis_process redis({"--requirepass", "s3cret", "--user", "reader", "on", ">p4ss", "+@all"});
  config::bus_settings with_password = tcp_bus(redis.port()), with_user = with_password;
  with_password.password = "s3cret";
  with_user.username = "reader";
  with_user.password = "p4ss";
  const started_poller subject({with_password, with_user});
  EXPECT_TRUE(subject.becomes_up(0));
  EXPECT_TRUE(subject.becomes_up(1));
}

TEST(InfoPollerTest, SaysWhatRedisHasAgainstIt) {
  const redis_process redis({"--requirepass", "s3cret"});
  config::bus_settings wrong = tcp_bus(redis.port());
  wrong.password = "guess";
  const started_poller subject({wrong, tcp_bus(redis.port())});
  ASSERT_TRUE(subject.becomes_down(0));
  EXPECT_THAT(subject.of(0).error, HasSubstr("AUTH: WRONGPASS"));
  ASSERT_TRUE(subject.becomes_down(1));
  EXPECT_THAT(subject.of(1).error, HasSubstr("INFO: NOAUTH"));
}

TEST(InfoPollerTest, MeasuresCpuOverTheLastInterval) {
  const redis_process redis;
  info_poller::settings timing = fast();
  timing.interval = 200ms;
  timing.reply_timeout = 5000ms;
  const started_poller subject({tcp_bus(redis.port())}, timing);
  ASSERT_TRUE(eventually([&] { return subject.of(0).cpu_ratio.value_or(1) < 0.05; })) << "idle";
  const test::child_process load(
      {"redis-benchmark", "-p", std::to_string(redis.port()), "-P", "16", "-n", "1000000000", "-t", "set"});
  EXPECT_TRUE(eventually([&] { return subject.of(0).cpu_ratio.value_or(0) > 0.1; }, 30s)) << "busy";
  EXPECT_LT(subject.of(0).cpu_ratio.value_or(0), 2);
}

TEST(InfoPollerTest, AHangingRedisDelaysNeitherTheOtherNorTheEnd) {
  const redis_process hanging, healthy;
  info_poller::settings timing = fast();
  timing.reply_timeout = 1000ms;
  started_poller subject({tcp_bus(hanging.port()), tcp_bus(healthy.port())}, timing);
  ASSERT_TRUE(subject.becomes_up(0));
  hanging.signal(SIGSTOP);
  ASSERT_TRUE(subject.becomes_down(0));
  EXPECT_THAT(subject.of(0).error, HasSubstr("no answer in time"));
  // One after the other, 20 polls would take 20 s of waiting for the hanging one.
  const std::uint64_t before = subject.of(1).polls;
  EXPECT_TRUE(eventually([&] { return subject.of(1).polls >= before + 20; }, 10s));
  EXPECT_FALSE(subject.of(0).up);
  EXPECT_TRUE(subject.of(0).info) << "the last answer stays";
  EXPECT_LT(time_to_stop(subject.poller), 1s);
}

TEST(InfoPollerTest, AHungRedisIsJudgedSilentLongBeforeItsConnectionIsGivenUpAndStaysSo) {
  const redis_process redis;
  info_poller::settings timing = fast();
  timing.patience = 100ms;
  timing.reply_timeout = 3000ms;
  const started_poller subject({tcp_bus(redis.port())}, timing);
  ASSERT_TRUE(subject.becomes_up());
  EXPECT_EQ(subject.of(0).verdict.state, metrics::bus_state::up);
  const base::time_point stopped = base::clock::now();
  redis.signal(SIGSTOP);
  ASSERT_TRUE(subject.becomes_down());
  EXPECT_EQ(subject.of(0).failures, 0u);
  const info_verdict first = subject.of(0).verdict;
  EXPECT_EQ(first.state, metrics::bus_state::silent);
  EXPECT_GE(first.since, stopped - 100ms);
  // Its port takes connections; nothing but an answer shows that it goes on.
  ASSERT_TRUE(eventually([&] { return subject.of(0).failures >= 3; }));
  EXPECT_EQ(subject.of(0).verdict.state, metrics::bus_state::silent);
  EXPECT_EQ(subject.of(0).verdict.since, first.since);
  redis.signal(SIGCONT);
  ASSERT_TRUE(subject.becomes_up());
  EXPECT_EQ(subject.of(0).verdict.state, metrics::bus_state::up);
}

TEST(InfoPollerTest, JudgesAReplicaAndNotOneThatItCannotReach) {
  redis_process redis;
  const started_poller subject({tcp_bus(redis.port())});
  const auto judged = [&](metrics::bus_state as) {
    return eventually([&] { return subject.of(0).verdict.state == as; });
  };
  ASSERT_TRUE(subject.becomes_up());
  redis.command("REPLICAOF 127.0.0.1 1");
  EXPECT_TRUE(judged(metrics::bus_state::replica));
  redis.kill();
  EXPECT_TRUE(judged(metrics::bus_state::up)) << "the workers know whether it can be reached";
}

TEST(InfoPollerTest, EndsAtOnceInTheMiddleOfAWaitForAReply) {
  talking_server silent("");
  info_poller::settings patient = fast();
  patient.connect_timeout = 60'000ms;
  started_poller subject({tcp_bus(silent.port())}, patient);
  ASSERT_TRUE(eventually([&] { return silent.asked() == 1; }));
  EXPECT_LT(time_to_stop(subject.poller), 1s);
}

TEST(InfoPollerTest, ContinuesWhenAHangingRedisGoesOn) {
  const redis_process redis;
  const started_poller subject({tcp_bus(redis.port())});
  ASSERT_TRUE(subject.becomes_up());
  redis.signal(SIGSTOP);
  ASSERT_TRUE(subject.becomes_down());
  redis.signal(SIGCONT);
  EXPECT_TRUE(subject.becomes_up());
}

TEST(InfoPollerTest, ReconnectsAfterARestartAndComparesNoCpuAcrossIt) {
  redis_process redis;
  const started_poller subject({tcp_bus(redis.port())});
  ASSERT_TRUE(subject.becomes_up());
  const std::string first_run = subject.of(0).info->run_id;
  redis.kill();
  ASSERT_TRUE(subject.becomes_down());
  EXPECT_FALSE(subject.of(0).cpu_ratio);
  redis.begin();
  ASSERT_TRUE(subject.becomes_up());
  EXPECT_NE(subject.of(0).info->run_id, first_run);
  EXPECT_GE(subject.of(0).cpu_ratio.value_or(0), 0);
}

TEST(InfoPollerTest, LogsOncePerChange) {
  captured_log log;
  {
    redis_process redis;
    const started_poller subject({tcp_bus(redis.port())});
    ASSERT_TRUE(eventually([&] { return subject.of(0).polls >= 3; }));
    EXPECT_EQ(log.count("answers INFO"), 1u);
    redis.kill();
    ASSERT_TRUE(subject.becomes_down());
    ASSERT_TRUE(eventually([&] { return subject.of(0).failures >= 3; }));
    EXPECT_EQ(log.count("warning"), 1u);
    redis.begin();
    ASSERT_TRUE(subject.becomes_up());
    EXPECT_EQ(log.count("answers INFO"), 2u);
  }
  EXPECT_EQ(log.count("warning"), 1u) << "the end is no failure";
}

TEST(InfoPollerTest, WarnsOnceWhenWholeStreamsCanBeEvicted) {
  captured_log log;
  {
    const redis_process redis({"--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"});
    const started_poller subject({tcp_bus(redis.port())});
    ASSERT_TRUE(eventually([&] { return subject.of(0).polls >= 3; }));
    EXPECT_EQ(log.count("maxmemory-policy allkeys-lru with maxmemory 104857600 can evict a whole stream"),
              1u);
    redis.command("CONFIG SET maxmemory-policy volatile-lru");
    EXPECT_TRUE(eventually([&] { return log.count("does not evict whole streams any more") == 1; }));
    redis.command("CONFIG SET maxmemory-policy allkeys-lfu");
    EXPECT_TRUE(eventually([&] { return log.count("maxmemory-policy allkeys-lfu") == 1; }));
  }
}

struct garbage_case {
  const char* name;
  std::string bytes;
  const char* error;
};
void PrintTo(const garbage_case& c, std::ostream* out) {
  *out << c.name;
}

constexpr const char* too_little = "no answer in time";
constexpr const char* something_else = "the answer is not Redis's";

class InfoPollerGarbageTest : public testing::TestWithParam<garbage_case> {};

TEST_P(InfoPollerGarbageTest, IsReportedAndSurvived) {
  talking_server server(GetParam().bytes);
  info_poller::settings timing = fast();
  // A poller that gets enough to judge needs no time-out.
  if (GetParam().error != too_little) timing.connect_timeout = 60s;
  started_poller subject({tcp_bus(server.port())}, timing);
  ASSERT_TRUE(subject.becomes_down());
  EXPECT_THAT(subject.of(0).error, HasSubstr(GetParam().error));
  EXPECT_EQ(subject.of(0).polls, 0u);
  EXPECT_LT(time_to_stop(subject.poller), 1s);
}

INSTANTIATE_TEST_SUITE_P(
    Bytes, InfoPollerGarbageTest,
    testing::Values(garbage_case{"http", "HTTP/1.1 400 Bad Request\r\n\r\n", something_else},
                    garbage_case{"nothing", "", too_little},
                    garbage_case{"huge_array", "*2147483647\r\n$1\r\na\r\n", something_else},
                    garbage_case{"impossible_string", "$999999999999\r\n", something_else},
                    garbage_case{"huge_string", "$999999999\r\n" + std::string(8 << 20, 'x'),
                                 "the answer is too long"},
                    garbage_case{"negative_length", "$-7\r\n", something_else},
                    garbage_case{"half_a_string", "$100\r\nredis_version:7", too_little},
                    garbage_case{"one_answer_only", "+OK\r\n", too_little},
                    garbage_case{"too_much", "+OK\r\n+OK\r\n+OK\r\n", "more was answered than asked"},
                    garbage_case{"binary", std::string("\0\xff\x01", 3), something_else}),
    [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace dualbus::admin
