#include "admin/http_server.hpp"

#include "processes.hpp"

#include <dualbus/base/clock.hpp>
#include <dualbus/base/unique_fd.hpp>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <fcntl.h>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/resource.h>
#include <sys/socket.h>
#include <system_error>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dualbus::admin {
namespace {

using namespace std::chrono_literals;
using test::eventually;
using test::http_get;
using test::tcp_client;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

http_server::limits quick() {
  http_server::limits limits;
  limits.request_timeout = 1s;
  limits.idle_timeout = 2s;
  limits.write_timeout = 1s;
  return limits;
}

class HttpServerTest : public testing::Test {
 protected:
  void start(http_server::limits limits = {}) {
    std::vector<http_page> pages = {
        {"/hello",
         [] {
           return http_reply{200, "text/plain; charset=utf-8", "hello\n"};
         }},
        {"/big",
         [] {
           return http_reply{200, "text/plain", std::string(32 << 20, 'x')};
         }},
        {"/slow",
         [this] {
           ++renderings_;
           std::this_thread::sleep_for(100ms);
           return http_reply{200, "text/plain", "slow\n"};
         }},
        {"/asked",
         {},
         [](std::string_view query) {
           return http_reply{200, "text/plain", "asked '" + std::string(query) + "'\n"};
         }},
        {"/broken", []() -> http_reply { throw std::runtime_error("no figures"); }},
    };
    server_ = std::make_unique<http_server>("127.0.0.1", 0, std::move(pages), limits,
                                            [](std::string_view host) { return host != "evil.example"; });
    server_->start();
  }
  std::string exchange(const std::string& bytes) {
    tcp_client client(server_->port());
    client.send(bytes);
    return client.read_all();
  }
  bool answers() { return http_get(server_->port(), "/hello").ends_with("hello\n"); }

  std::unique_ptr<http_server> server_;
  std::atomic<int> renderings_ = 0;  // of /slow
};

TEST_F(HttpServerTest, ServesAPage) {
  start();
  const std::string answer = http_get(server_->port(), "/hello");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(answer, HasSubstr("Content-Type: text/plain; charset=utf-8\r\n"));
  EXPECT_THAT(answer, EndsWith("\r\n\r\nhello\n"));
}

TEST_F(HttpServerTest, IgnoresTheQuery) {
  start();
  EXPECT_THAT(http_get(server_->port(), "/hello?a=b"), EndsWith("hello\n"));
}

TEST_F(HttpServerTest, GivesTheQueryToAPageThatWantsIt) {
  start();
  const std::string both = exchange(
      "GET /asked?a=b HTTP/1.1\r\nHost: x\r\n\r\n"
      "GET /asked?c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(both, HasSubstr("asked 'a=b'\n"));
  EXPECT_THAT(both, EndsWith("asked 'c'\n"));
  for (const char* path : {"/asked", "/asked?"}) {
    EXPECT_THAT(http_get(server_->port(), path), EndsWith("asked ''\n"));
  }
}

TEST_F(HttpServerTest, AnswersHeadWithoutBody) {
  start();
  const std::string answer = exchange("HEAD /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(answer, HasSubstr("Content-Length: 6\r\n"));
  EXPECT_THAT(answer, EndsWith("\r\n\r\n"));
}

TEST_F(HttpServerTest, ClosesAfterHttp10) {
  start();
  EXPECT_THAT(exchange("GET /hello HTTP/1.0\r\n\r\n"), EndsWith("hello\n"));
}

TEST_F(HttpServerTest, KnowsNeitherOtherPathsNorMethods) {
  start();
  EXPECT_THAT(http_get(server_->port(), "/nope"), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(http_get(server_->port(), "/hello/../hello"), StartsWith("HTTP/1.1 404 "));
  const std::string answer =
      exchange("POST /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 405 "));
  EXPECT_THAT(answer, HasSubstr("Allow: GET, HEAD\r\n"));
}

TEST_F(HttpServerTest, APageThatFailsIsStatus500AndNoMore) {
  start();
  EXPECT_THAT(http_get(server_->port(), "/broken"), StartsWith("HTTP/1.1 500 "));
  EXPECT_TRUE(answers());
}

TEST_F(HttpServerTest, AnswersPipelinedRequestsInOrder) {
  start();
  tcp_client client(server_->port());
  std::string requests;
  for (int i = 0; i < 50; ++i) {
    requests += i % 2 ? "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n" : "GET /nope HTTP/1.1\r\nHost: x\r\n\r\n";
  }
  ASSERT_TRUE(client.send(requests));
  for (int i = 0; i < 50; ++i) {
    ASSERT_THAT(client.read_response(), StartsWith(i % 2 ? "HTTP/1.1 200 " : "HTTP/1.1 404 ")) << i;
  }
}

TEST_F(HttpServerTest, TakesARequestInSinglesBytes) {
  start();
  tcp_client client(server_->port());
  for (const char c : std::string("GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")) {
    ASSERT_TRUE(client.send(std::string_view(&c, 1)));
  }
  EXPECT_THAT(client.read_all(), EndsWith("hello\n"));
}

TEST_F(HttpServerTest, RefusesGarbageAndSaysSo) {
  start();
  for (const std::string& bytes :
       {std::string("*1\r\n$4\r\nPING\r\n"), std::string("GET\r\n\r\n"), std::string("\0\0\0\0\r\n\r\n", 8),
        std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), std::string("\x16\x03\x01\x02\r\n\r\n"),
        std::string("GET /hello HTTP/1.1\r\nContent-Length: -1\r\n\r\n"),
        std::string("GET /hello HTTP/1.1\r\nno colon\r\n\r\n"),
        std::string("GET /hello HTTP/1.1\r\nHost: x\r\nHost: y\r\nConnection: close\r\n\r\n")}) {
    EXPECT_THAT(exchange(bytes), StartsWith("HTTP/1.1 400 ")) << bytes;
  }
  EXPECT_TRUE(answers());
}

TEST_F(HttpServerTest, RefusesHeadersAndBodiesBeyondTheLimits) {
  start();
  const std::string begin = "GET /hello HTTP/1.1\r\nHost: x\r\n";
  EXPECT_THAT(exchange(begin + "X: " + std::string(9000, 'x') + "\r\n\r\n"), StartsWith("HTTP/1.1 431 "));
  EXPECT_THAT(exchange("GET /" + std::string(100'000, 'x')), StartsWith("HTTP/1.1 431 "));
  EXPECT_THAT(exchange(begin + "Content-Length: 99999999999\r\n\r\n"), StartsWith("HTTP/1.1 413 "));
  EXPECT_THAT(exchange(begin + "X: " + std::string(7000, 'x') + "\r\nConnection: close\r\n\r\n"),
              EndsWith("hello\n"));
  EXPECT_TRUE(answers());
}

TEST_F(HttpServerTest, ARequestWithABodyIsRefusedAndItsConnectionEnds) {
  start();
  const std::string begin = "GET /hello HTTP/1.1\r\nHost: x\r\n",
                    next = "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n";
  for (const std::string& rest : {std::string("Content-Length: 3\r\n\r\nabc") + next,
                                  "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + next,
                                  "Transfer-Encoding: chunked\r\n\r\n1;a=" + std::string(20'000, 'x'),
                                  "Transfer-Encoding: chunked\r\n\r\n0\r\nA: " + std::string(20'000, 'x')}) {
    const std::string answer = exchange(begin + rest);
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 413 "));
    EXPECT_THAT(answer, HasSubstr("Connection: close\r\n"));
    EXPECT_THAT(answer, Not(HasSubstr("hello\n"))) << "the bytes that follow are part of the body";
  }
  EXPECT_THAT(exchange(begin + "Content-Length: 0\r\nConnection: close\r\n\r\n"), EndsWith("hello\n"));
}

// A connection without a limit would take all of it; with one, the sender is stopped early.
TEST_F(HttpServerTest, AnEndlessChunkExtensionOrTrailerIsNotTaken) {
  start();
  for (const std::string head : {"1;a=", "0\r\n"}) {
    tcp_client client(server_->port());
    ASSERT_TRUE(client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + head));
    std::string piece;
    while (piece.size() < 64 * 1024) piece += "A: b\r\n";
    int sent = 0;
    while (sent < 1024 && client.send(piece)) ++sent;  // 64 MiB
    EXPECT_LT(sent, 1024);
  }
  EXPECT_TRUE(answers());
}

TEST_F(HttpServerTest, AForeignHostIsRefused) {
  start();
  EXPECT_THAT(exchange("GET /hello HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"),
              StartsWith("HTTP/1.1 421 "));
  EXPECT_THAT(exchange("GET /hello HTTP/1.1\r\nHost: good.example\r\nConnection: close\r\n\r\n"),
              EndsWith("hello\n"));
}

TEST_F(HttpServerTest, WhoAsksAtTheSameTimeSharesOneRendering) {
  start();
  std::vector<std::unique_ptr<tcp_client>> clients;
  for (int i = 0; i < 30; ++i) {
    clients.push_back(std::make_unique<tcp_client>(server_->port()));
    ASSERT_TRUE(clients.back()->send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"));
  }
  for (auto& client : clients) EXPECT_THAT(client->read_response(), EndsWith("slow\n"));
  // The first few may come while nobody else has asked; all others ask while one of these is rendered.
  EXPECT_LT(renderings_, 15);
}

TEST_F(HttpServerTest, AnOldConnectionEndsAfterItsNextAnswer) {
  http_server::limits limits;
  limits.lifetime = 0ms;
  start(limits);
  tcp_client client(server_->port());
  ASSERT_TRUE(client.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"));
  const std::string answer = client.read_all();
  EXPECT_THAT(answer, HasSubstr("Connection: close\r\n"));
  EXPECT_THAT(answer, EndsWith("hello\n"));
}

TEST_F(HttpServerTest, SlowAndSilentPeersEndAndBlockNobody) {
  start(quick());
  tcp_client silent(server_->port()), half(server_->port()), idle(server_->port());
  half.send("GET /hel");
  idle.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(idle.read_response(), EndsWith("hello\n"));
  EXPECT_TRUE(answers());
  EXPECT_TRUE(silent.closed_within(10s));
  EXPECT_TRUE(half.closed_within(10s));
  EXPECT_TRUE(idle.closed_within(10s));
  EXPECT_TRUE(eventually([&] { return server_->connections() == 0; }));
}

TEST_F(HttpServerTest, ATrickleOfBytesBuysNoTime) {
  start(quick());
  tcp_client slow(server_->port());
  ASSERT_TRUE(slow.send("GET /hello HTTP/1.1\r\n"));
  const base::time_point begun = base::clock::now();
  // A byte every 20 ms would go on for 20 s.
  int sent = 0;
  while (sent < 1000 && slow.send("X") && !slow.closed_within(20ms)) ++sent;
  EXPECT_LT(sent, 1000);
  EXPECT_LT(base::clock::now() - begun, 10s);
}

TEST_F(HttpServerTest, APeerThatDoesNotReadIsCutOff) {
  start(quick());
  tcp_client lazy(server_->port());
  lazy.send("GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(eventually([&] { return server_->connections() == 1; }));
  EXPECT_TRUE(answers());
  EXPECT_TRUE(eventually([&] { return server_->connections() == 0; }));
}

TEST_F(HttpServerTest, SilentConnectionsNeverLockOutAScraper) {
  start();
  std::vector<std::unique_ptr<tcp_client>> silent;
  tcp_client scraper(server_->port());
  const std::string request = "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n";
  for (int i = 0; i < 200; ++i) {
    silent.push_back(std::make_unique<tcp_client>(server_->port()));
    if (i % 20 != 0) continue;
    // Connections are accepted in order: once a new one is answered, all before it were.
    ASSERT_TRUE(answers()) << i;
    // One that keeps asking keeps its connection.
    ASSERT_TRUE(scraper.send(request)) << i;
    ASSERT_THAT(scraper.read_response(), EndsWith("hello\n")) << i;
  }
  EXPECT_TRUE(answers());
  EXPECT_TRUE(eventually([&] { return server_->connections() <= 64; }));
  EXPECT_TRUE(silent.front()->closed_within(10s));
}

TEST_F(HttpServerTest, RunningOutOfDescriptorsNeitherSpinsNorEndsIt) {
  start();
  tcp_client warm(server_->port());
  ASSERT_TRUE(eventually([&] { return server_->connections() == 1; }));
  const base::unique_fd reserved(::socket(AF_INET, SOCK_STREAM, 0));
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  rlimit small = before;
  small.rlim_cur = 100;
  ::setrlimit(RLIMIT_NOFILE, &small);
  std::vector<base::unique_fd> fill;
  for (;;) {
    base::unique_fd fd(::open("/dev/null", O_RDONLY));
    if (!fd) break;
    fill.push_back(std::move(fd));
  }
  EXPECT_EQ(errno, EMFILE);
  // The socket was there before; the server needs another one to accept it.
  fill.pop_back();
  tcp_client client(server_->port());
  client.send("GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  rusage begin{}, end{};
  ::getrusage(RUSAGE_SELF, &begin);
  EXPECT_FALSE(client.closed_within(500ms)) << "nobody could accept it yet";
  ::getrusage(RUSAGE_SELF, &end);
  const auto micros = [](const timeval& t) { return t.tv_sec * 1'000'000 + t.tv_usec; };
  EXPECT_LT(micros(end.ru_utime) + micros(end.ru_stime) - micros(begin.ru_utime) - micros(begin.ru_stime),
            200'000);
  EXPECT_EQ(server_->connections(), 1u);
  fill.clear();
  ::setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_THAT(client.read_all(), EndsWith("hello\n"));
}

TEST_F(HttpServerTest, PeersThatVanishAtEveryByteLeaveNothingBehind) {
  start();
  const std::string request = "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n";
  for (std::size_t size = 0; size <= request.size(); ++size) {
    tcp_client client(server_->port());
    client.send(request.substr(0, size));
    if (size % 2) {
      const linger reset{1, 0};
      ::setsockopt(client.fd(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    }
  }
  EXPECT_TRUE(eventually([&] { return server_->connections() == 0; }));
  EXPECT_TRUE(answers());
}

TEST_F(HttpServerTest, StopsAtOnceWithConnectionsInEveryState) {
  start();
  tcp_client silent(server_->port()), half(server_->port()), lazy(server_->port());
  half.send("GET /");
  lazy.send("GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(eventually([&] { return server_->connections() == 3; }));
  const base::time_point begun = base::clock::now();
  server_->stop();
  EXPECT_LT(base::clock::now() - begun, 1s);
  EXPECT_TRUE(silent.closed_within(1s));
}

TEST_F(HttpServerTest, NamesTheAddressItCannotListenOn) {
  start();
  const std::string port = std::to_string(server_->port());
  http_server second("127.0.0.1", server_->port(), {}, {});
  try {
    second.start();
    FAIL() << "two servers on one port";
  } catch (const std::system_error& e) {
    EXPECT_EQ(e.code().value(), EADDRINUSE);
    EXPECT_THAT(e.what(), HasSubstr("cannot listen on admin address 127.0.0.1:" + port));
  }
  http_server nowhere("localhost", 0, {}, {});
  EXPECT_THROW(nowhere.start(), std::system_error);
}

TEST_F(HttpServerTest, ListensOnIpv6) {
  http_server server("::1", 0, {}, {});
  try {
    server.start();
  } catch (const std::system_error& e) {
    GTEST_SKIP() << "no IPv6 here: " << e.what();
  }
  EXPECT_NE(server.port(), 0);
}

}  // namespace
}  // namespace dualbus::admin
