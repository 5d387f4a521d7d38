#include "admin/status_page.hpp"
#include "processes.hpp"
#include "sample_state.hpp"

#include <dualbus/admin/service.hpp>

#include <atomic>
#include <memory>
#include <signal.h>
#include <string>
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
using test::redis_process;
using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

std::shared_ptr<config::configuration> configuration_for(std::uint16_t marketdata,
                                                         std::uint16_t engine_logic) {
  auto configuration = test::sample_configuration();
  configuration->admin.port = test::free_port();
  configuration->buses[0].host = configuration->buses[1].host = "127.0.0.1";
  configuration->buses[0].port = marketdata;
  configuration->buses[1].port = engine_logic;
  configuration->backend.backoff_max = 100ms;
  return configuration;
}

void set_state(metrics::worker_snapshot& worker, std::size_t bus, metrics::bus_state state) {
  worker.metrics.buses[bus].states = {};
  worker.metrics.buses[bus].states[static_cast<std::size_t>(state)] = 1;
}

metrics::worker_snapshot worker_with(bool first_up, bool second_up) {
  metrics::worker_snapshot worker = test::sample_worker(5, "price_update");
  constexpr auto up = static_cast<std::size_t>(metrics::connection_state::up);
  worker.metrics.buses[0].connections[up] = first_up;
  worker.metrics.buses[1].connections[up] = second_up;
  for (std::size_t bus = 0; bus < 2; ++bus) {
    const bool bus_up = bus == 0 ? first_up : second_up;
    worker.metrics.buses[bus].states = {};
    worker.metrics.buses[bus].down_since = {};
    set_state(worker, bus, bus_up ? metrics::bus_state::up : metrics::bus_state::disconnected);
  }
  return worker;
}

TEST(ServiceTest, ServesMetricsOfWorkersAndRedis) {
  const redis_process first, second;
  service subject(configuration_for(first.port(), second.port()), {[] {
                    return std::vector{worker_with(true, true), worker_with(true, true)};
                  }});
  subject.start();
  const auto page = [&] { return http_get(subject.port(), "/metrics"); };
  EXPECT_THAT(page(), HasSubstr("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
  EXPECT_THAT(page(), HasSubstr("\ndualbus_clients 10\n"));
  EXPECT_TRUE(
      eventually([&] { return page().find("\nredis_up{bus=\"marketdata\"} 1\n") != std::string::npos; }));
  EXPECT_TRUE(
      eventually([&] { return page().find("\nredis_up{bus=\"engine_logic\"} 1\n") != std::string::npos; }));
}

TEST(ServiceTest, ServesTheMetricsOfOneRedis) {
  const redis_process first;
  service subject(configuration_for(first.port(), 1), {[] { return std::vector{worker_with(true, false)}; }});
  subject.start();
  const auto page = [&](const std::string& query) {
    return http_get(subject.port(), "/metrics/redis" + query);
  };
  EXPECT_TRUE(
      eventually([&] { return page("?bus=marketdata").find("\nredis_up 1\n") != std::string::npos; }));
  EXPECT_THAT(page("?bus=marketdata"),
              HasSubstr("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
  EXPECT_THAT(page("?bus=marketdata"), Not(HasSubstr("dualbus_")));
  EXPECT_THAT(page("?bus=engine_logic"), HasSubstr("\nredis_up 0\n"));
  EXPECT_THAT(page("?bus=nosuch"), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(page("?bus=nosuch"),
              EndsWith("there is no bus 'nosuch': the buses are marketdata, engine_logic\n"));
  EXPECT_THAT(page(""), EndsWith("say ?bus=NAME: the buses are marketdata, engine_logic\n"));
  EXPECT_THAT(page("?"), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(page("?bus=marketdata&bus=engine_logic"), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(page("?all"), EndsWith("'all': /metrics/redis takes one bus=NAME\n"));
}

TEST(ServiceTest, IsReadyWhenEveryActiveBusDoesItsJob) {
  auto configuration = configuration_for(1, 1);
  std::atomic<bool> first_up = false, second_up = false;
  service subject(configuration, {[&] {
                    return std::vector{worker_with(false, false), worker_with(first_up, second_up)};
                  }});
  subject.start();
  const auto page = [&] { return http_get(subject.port(), "/readyz?all"); };
  EXPECT_THAT(page(), StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(page(), EndsWith("\nnot ready\nbus marketdata (127.0.0.1:6380): has no connection\n"
                               "bus engine_logic (127.0.0.1:6381): has no connection\n"));
  first_up = true;
  EXPECT_THAT(page(), EndsWith("\nnot ready\nbus marketdata (127.0.0.1:6380): does its job\n"
                               "bus engine_logic (127.0.0.1:6381): has no connection\n"));
  EXPECT_THAT(http_get(subject.port(), "/readyz"), StartsWith("HTTP/1.1 200 "));
  second_up = true;
  EXPECT_THAT(page(), StartsWith("HTTP/1.1 200 "));

  second_up = false;
  auto draining = std::make_shared<config::configuration>(*configuration);
  draining->routing.buses[1].draining = true;
  subject.set_configuration(draining);
  EXPECT_THAT(page(), StartsWith("HTTP/1.1 200 ")) << "a draining bus may be gone";
  EXPECT_THAT(http_get(subject.port(), "/healthz"), EndsWith("\r\n\r\nok\n"));
}

TEST(ServiceTest, AnswersTheNamesInAdminHostsAlsoAfterAReload) {
  auto configuration = configuration_for(1, 1);
  service subject(configuration, {[] { return std::vector<metrics::worker_snapshot>(); }});
  subject.start();
  const auto status_for = [&](const std::string& host) {
    test::tcp_client client(subject.port());
    client.send("GET /healthz HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n");
    return client.read_all().substr(0, 12);
  };
  EXPECT_EQ(status_for("bus.example.org:9121"), "HTTP/1.1 421");
  auto named = std::make_shared<config::configuration>(*configuration);
  named->admin.hosts = {"bus.example.*"};
  subject.set_configuration(named);
  EXPECT_EQ(status_for("bus.example.org:9121"), "HTTP/1.1 200");
  EXPECT_EQ(status_for("evil.example.org"), "HTTP/1.1 421");
}

TEST(ServiceTest, IsNotReadyWhenAnyWorkerHasHeardABusRefuse) {
  using metrics::bus_state;
  std::atomic<bus_state> first{bus_state::up}, second{bus_state::up};
  service subject(configuration_for(1, 1), {[&] {
                    std::vector workers = {worker_with(true, true), worker_with(true, true)};
                    set_state(workers[0], 0, first);
                    set_state(workers[1], 0, second);
                    return workers;
                  }});
  subject.start();
  const auto page = [&] { return http_get(subject.port(), "/readyz?all"); };
  EXPECT_THAT(page(), StartsWith("HTTP/1.1 200 "));
  // A fault of a connection is one worker's own trouble.
  for (const bus_state own : {bus_state::disconnected, bus_state::silent}) {
    second = own;
    EXPECT_THAT(page(), StartsWith("HTTP/1.1 200 "));
  }
  first = bus_state::disconnected;
  EXPECT_THAT(page(), HasSubstr("\nbus marketdata (127.0.0.1:6380): does not answer\n"));
  first = bus_state::up;
  second = bus_state::replica;
  EXPECT_THAT(page(), StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(page(), HasSubstr("): is a replica and refuses writes (READONLY)\n"));
  const std::string metrics = http_get(subject.port(), "/metrics");
  EXPECT_THAT(metrics, HasSubstr("\ndualbus_bus_state{bus=\"marketdata\",state=\"replica\"} 1\n"));
  EXPECT_THAT(metrics, HasSubstr("\ndualbus_bus_state{bus=\"marketdata\",state=\"up\"} 0\n"));
}

TEST(ServiceTest, SaysThatItDrainsAndIsHealthyMeanwhile) {
  std::atomic<daemon_phase> phase = daemon_phase::serving;
  service subject(configuration_for(1, 1), {.snapshots = [] { return std::vector{worker_with(true, true)}; },
                                            .phase = [&phase] { return phase.load(); }});
  subject.start();
  const auto page = [&](const std::string& path) { return http_get(subject.port(), path); };
  EXPECT_THAT(page("/readyz"), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(page("/metrics"), HasSubstr("\ndualbus_draining 0\n"));
  phase = daemon_phase::draining;
  for (const char* path : {"/readyz", "/readyz?all", "/readyz?bus=marketdata"}) {
    EXPECT_THAT(page(path), StartsWith("HTTP/1.1 503 "));
    EXPECT_THAT(page(path), HasSubstr("\ndraining"));
  }
  EXPECT_THAT(page("/metrics"), HasSubstr("\ndualbus_draining 1\n"));
  EXPECT_THAT(page("/"), AllOf(HasSubstr("<b class=bad>no</b>"), HasSubstr("<li>the daemon is draining")));
  EXPECT_THAT(page("/healthz"), StartsWith("HTTP/1.1 200 "));
  phase = daemon_phase::stopping;
  EXPECT_THAT(page("/readyz"), HasSubstr("\nstopping\n"));
}

TEST(ServiceTest, IsHealthyButNotReadyWithoutWorkers) {
  service subject(configuration_for(1, 1), {[] { return std::vector<metrics::worker_snapshot>(); }});
  subject.start();
  EXPECT_THAT(http_get(subject.port(), "/healthz"), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(http_get(subject.port(), "/readyz?all"), StartsWith("HTTP/1.1 503 "));
}

TEST(ServiceTest, CountsReloadsAndShowsNewLatencyTargets) {
  auto configuration = configuration_for(1, 1);
  service subject(configuration, {[] { return std::vector{worker_with(true, true)}; }});
  subject.start();
  const auto page = [&] { return http_get(subject.port(), "/metrics"); };
  EXPECT_THAT(page(), HasSubstr("\ndualbus_config_last_reload_successful 1\n"));
  subject.note_reload(false);
  EXPECT_THAT(page(), HasSubstr("\ndualbus_config_last_reload_successful 0\n"));
  EXPECT_THAT(page(), HasSubstr("\ndualbus_config_reloads_total{result=\"failure\"} 1\n"));
  EXPECT_THAT(page(), HasSubstr("\ndualbus_latency_target_seconds{bus=\"marketdata\"} 0.001\n"));

  auto changed = std::make_shared<config::configuration>(*configuration);
  changed->buses[0].latency_target = std::chrono::microseconds(2000);
  subject.set_configuration(changed);
  subject.note_reload(true);
  EXPECT_THAT(page(), HasSubstr("\ndualbus_config_last_reload_successful 1\n"));
  EXPECT_THAT(page(), HasSubstr("\ndualbus_config_reloads_total{result=\"success\"} 1\n"));
  EXPECT_THAT(page(), HasSubstr("\ndualbus_latency_target_seconds{bus=\"marketdata\"} 0.002\n"));
}

TEST(ServiceTest, DoesNothingWithoutAPort) {
  auto configuration = configuration_for(1, 1);
  configuration->admin.port = 0;
  service subject(configuration,
                  {[]() -> std::vector<metrics::worker_snapshot> { throw std::logic_error("asked"); }});
  subject.start();
  EXPECT_EQ(subject.port(), 0);
  subject.stop();
}

TEST(ServiceTest, NamesTheAddressThatIsTakenAndCanBeDestroyed) {
  auto configuration = configuration_for(1, 1);
  const daemon_view view = {[] { return std::vector<metrics::worker_snapshot>(); }};
  service first(configuration, view), second(configuration, view);
  first.start();
  try {
    second.start();
    FAIL() << "two services on one port";
  } catch (const std::system_error& e) {
    EXPECT_THAT(e.what(), HasSubstr("admin address 127.0.0.1:" + std::to_string(configuration->admin.port)));
  }
}

TEST(ServiceTest, StopsWithinASecondWhileARedisHangs) {
  const redis_process hanging, healthy;
  service subject(configuration_for(hanging.port(), healthy.port()),
                  {[] { return std::vector{worker_with(true, true)}; }});
  subject.start();
  const auto up = [&] {
    return http_get(subject.port(), "/metrics").find("\nredis_up{bus=\"marketdata\"} 1\n") !=
           std::string::npos;
  };
  ASSERT_TRUE(eventually(up));
  hanging.signal(SIGSTOP);
  ASSERT_TRUE(eventually([&] { return !up(); }));
  const base::time_point begun = base::clock::now();
  subject.stop();
  EXPECT_LT(base::clock::now() - begun, 1s);
}

TEST(ServiceTest, ItsThreadsTakeNoSignals) {
  service subject(configuration_for(1, 1), {[] { return std::vector<metrics::worker_snapshot>(); }});
  sigset_t all, before;
  sigfillset(&all);
  subject.start();
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  // Nobody can take it: it stays pending instead of ending the process.
  ::kill(::getpid(), SIGTERM);
  EXPECT_THAT(http_get(subject.port(), "/healthz"), StartsWith("HTTP/1.1 200 "));
  sigset_t pending;
  ::sigpending(&pending);
  EXPECT_EQ(sigismember(&pending, SIGTERM), 1);
  int taken = 0;
  sigset_t term;
  sigemptyset(&term);
  sigaddset(&term, SIGTERM);
  ::sigwait(&term, &taken);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

TEST(ServiceTest, PrometheusScrapesIt) {
  const redis_process first, second;
  service subject(configuration_for(first.port(), second.port()),
                  {[] { return std::vector{worker_with(true, true)}; }});
  subject.start();
  const test::temporary_directory directory;
  const std::string file = directory.write(
      "prometheus.yml",
      "global: {scrape_interval: 1s}\nscrape_configs:\n  - job_name: dualbus\n    static_configs:\n"
      "      - targets: [\"127.0.0.1:" +
          std::to_string(subject.port()) + "\"]\n");
  const std::uint16_t port = test::free_port();
  const test::child_process prometheus({"prometheus", "--config.file=" + file,
                                        "--storage.tsdb.path=" + directory.path() + "/data",
                                        "--web.listen-address=127.0.0.1:" + std::to_string(port)});
  const auto query = [&](const std::string& expression) -> std::string {
    try {
      return http_get(port, "/api/v1/query?query=" + expression);
    } catch (const std::runtime_error&) {
      return {};  // not up yet
    }
  };
  ASSERT_TRUE(eventually([&] { return query("sum(redis_up)").find(",\"2\"]") != std::string::npos; }, 60s));
  EXPECT_THAT(query("up"), HasSubstr(",\"1\"]"));
  EXPECT_THAT(query("dualbus_clients"), HasSubstr(",\"5\"]"));
  EXPECT_THAT(query("count(dualbus_request_bus_duration_seconds_bucket)"), HasSubstr(",\"36\"]"));
}

TEST(StatusPageTest, ShowsBusesMessagesAndDaemon) {
  const std::string page = render_status_page(test::sample_state(), {});
  for (const char* part :
       {"<td>marketdata</td>", "<td>127.0.0.1:6381</td>", "up, Redis 7.0.15", "25.0 %", "price_update",
        "42 now", "can evict whole streams", "the last failed", "2 up", "&gt; 5000 ms"}) {
    EXPECT_THAT(page, HasSubstr(part));
  }
  EXPECT_THAT(page, HasSubstr("bus engine_logic has no connection"));
}

TEST(StatusPageTest, EscapesWhatClientsSent) {
  daemon_snapshot state = test::sample_state();
  state.totals = add_up({test::sample_worker(1, "<script>alert('x')</script>&\"")});
  state.buses[0].up = false;
  state.buses[0].error = "<img src=x>";
  const std::string page = render_status_page(state, {});
  EXPECT_THAT(page, Not(HasSubstr("<script>")));
  EXPECT_THAT(page, Not(HasSubstr("<img")));
  EXPECT_THAT(page, HasSubstr("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;&quot;"));
}

TEST(StatusPageTest, ShowsTheMostFrequentTypesOnly) {
  daemon_snapshot state = test::sample_state();
  std::vector<metrics::worker_snapshot> workers;
  for (std::uint64_t i = 1; i <= 25; ++i)
    workers.push_back(test::sample_worker(i, "type_" + std::to_string(i) + "_"));
  state.totals = add_up(workers);
  const std::string page = render_status_page(state, {});
  EXPECT_THAT(page, HasSubstr("type_25_"));
  EXPECT_THAT(page, HasSubstr("type_6_"));
  EXPECT_THAT(page, Not(HasSubstr("type_5_")));
  EXPECT_THAT(page, HasSubstr("5 types more"));
  EXPECT_LT(page.find("type_25_"), page.find("type_24_"));
}

TEST(StatusPageTest, ShowsWhichEnginesAreHereAndTheNoisyOnesFirst) {
  daemon_snapshot state = test::sample_state();
  metrics::worker_snapshot worker;
  worker.engines["quiet"] = {2, 5, 0, 4, 1, 0, std::chrono::milliseconds(100)};
  worker.engines["<b>noisy"] = {1, 900000, 800000, 6, 7, 8, std::chrono::milliseconds(1500)};
  for (int i = 0; i < 60; ++i) worker.engines["engine-" + std::to_string(i)].commands = 1;
  state.totals = add_up({worker});
  const std::string page = render_status_page(state, {});
  EXPECT_THAT(page, HasSubstr("<tr><td>quiet</td><td>2</td><td>5</td><td>0</td><td>4</td><td>1</td><td>0</td>"
                              "<td>0.1 s</td>"));
  EXPECT_THAT(page, HasSubstr("<td>&lt;b&gt;noisy</td><td>1</td><td>900000</td><td>800000</td>"));
  EXPECT_LT(page.find("noisy"), page.find("quiet"));
  EXPECT_THAT(page, HasSubstr("<p>12 engines more.</p>"));
}

TEST(StatusPageTest, SaysThatNoEngineHasComeYet) {
  daemon_snapshot state = test::sample_state();
  state.totals.engines.clear();
  EXPECT_THAT(render_status_page(state, {}), HasSubstr("No client so far"));
}

}  // namespace
}  // namespace dualbus::admin
