#pragma once

#include "bench_handler.hpp"
#include "fake_bus.hpp"
#include "faults.hpp"

#include <dualbus/client/door.hpp>
#include <dualbus/config/loader.hpp>
#include <dualbus/operation/poll_absorber.hpp>
#include <dualbus/operation/stream_environment.hpp>
#include <dualbus/operation/subscription_hub.hpp>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>

namespace dualbus::operation::test {

/// "SET k v" as a client sends it.
inline std::string encoded(std::string_view words) {
  std::string result;
  std::size_t count = 0;
  while (!words.empty()) {
    const std::size_t end = std::min(words.find(' '), words.size());
    result += bulk(words.substr(0, end));
    words.remove_prefix(std::min(end + 1, words.size()));
    ++count;
  }
  return "*" + std::to_string(count) + "\r\n" + result;
}

class worker_bench;

/// A client of the worker: the other end of its socket.
class bench_client {
 public:
  bench_client(worker_bench& bench, base::unique_fd fd, std::uint64_t id)
      : bench_(bench), fd_(std::move(fd)), id_(id) {}

  void sends(std::string_view bytes);
  /// One request, its words parted by blanks; nothing is run yet.
  void says(std::string_view words) { sends(encoded(words)); }
  /// Everything that has come since the last call.
  std::string got();
  void closes() { fd_.reset(); }
  /// Says that nothing more will come, and goes on to read.
  void ends_input() { ::shutdown(fd_.get(), SHUT_WR); }
  std::uint64_t id() const { return id_; }
  /// Null if the worker has none any more.
  client::session* find() const;
  client::session& session() const { return *find(); }

 private:
  worker_bench& bench_;
  base::unique_fd fd_;
  std::uint64_t id_;
};

struct bench_options {
  /// By bus: "a", and "c, state: draining". Slots are counted from 1.
  std::vector<std::string> buses = {"a", "b"};
  /// The rest of the configuration.
  std::string settings = {};
  /// Whether the buses are up from the start.
  bool connected = true;
};

/// The parts of one worker as the daemon has them (src/app/worker_parts.hpp), but for the layers above; its
/// buses are fake ones. Keys that begin with "a:" belong to bus a, and so on; XADD of other keys goes to the
/// bus of its type: "message_type a". Time stands still unless the test moves it.
class worker_bench final : private client::memory_guard::holder {
 public:
  explicit worker_bench(bench_options options = {});
  ~worker_bench();

  // --- the test's means

  fake_bus& a() { return *fakes_[0]; }
  fake_bus& b() { return *fakes_[1]; }
  fake_bus& c() { return *fakes_[2]; }
  bench_client& connect();
  /// Turns of the worker, until nothing moves any more.
  void run();
  /// Time goes on by so much, in steps of the worker's tick.
  void pass(std::chrono::milliseconds time);
  void reload(const std::string& settings);
  void tick();
  const metrics::bus_metrics& figures(command::bus_index bus) const { return metrics_.buses[bus]; }
  const metrics::worker_metrics& figures() const { return metrics_; }
  std::uint64_t outcomes(std::string_view command, metrics::outcome how) const {
    return metrics_
        .commands[static_cast<std::size_t>(command::find_command(command))][static_cast<std::size_t>(how)];
  }

 private:
  std::size_t held_bytes() const override { return 0; }
  std::vector<client::memory_guard::candidate> evictable_clients(std::size_t) const override { return {}; }
  void cut_off(const client::memory_guard::candidate&) override {}
  bool check_held_clients(bool) override { return false; }

  std::shared_ptr<const config::configuration> parse(const std::string& settings) const;
  bool turn_once();
  void end_turn();

  const bench_options options_;
  std::string directory_;
  std::shared_ptr<const config::configuration> configuration_;
  std::vector<config::bus_settings> bus_settings_;  // as they are now
  std::vector<std::unique_ptr<fake_bus>> fakes_;
  std::vector<std::unique_ptr<bench_client>> ends_;
  boost::asio::io_context io_;
  base::chunk_pool reply_chunks_{4096, 64}, request_chunks_{std::size_t{64} << 10, 64};
  metrics::worker_metrics metrics_;
  metrics::engine_table engines_{100};
  command::message_counters messages_;
  config::backend_settings backend_;
  backend::pipeline_settings pipelines_;
  client::client_places places_;
  client::memory_budget budget_;
  std::atomic<std::uint64_t> last_client_{0}, last_slow_{0};

 public:
  client::turn turn;
  base::poller poller;
  operation::routing routing;
  client::access_control access;
  config::limit_settings limits;
  client::answer_times times;
  client::slow_log slow_log{last_slow_};
  client::client_directory clients{places_, turn};
  bus_list buses{turn.now};
  durable_writes durable{buses, routing, turn.now};
  operation::environment environment{turn, buses, routing, metrics_, times, reply_chunks_, durable};
  std::atomic<stream::bus_set> resting{0};
  stream::key_changes changes;
  parking_lot parking{environment, resting};
  poll_absorber polls{environment, parking, changes};
  subscription_registry registry;
  subscription_hub hub{environment, registry, clients};
  std::atomic<std::uint64_t> script_flushes{0};
  script_spread scripts{environment, script_flushes};
  operation::forwarder forwarder{environment, parking, scripts};
  transaction_pool transactions{environment};
  transaction_stage stage{environment, request_chunks_};
  link_queue links;
  exec_pools pools;
  exec_environment exec{environment, stage, links, parking, changes, request_chunks_, pools};
  stream_environment streams{environment, parking, polls, changes};
  bench_handler handler{exec, transactions, forwarder, hub};

 private:
  client::memory_guard memory_{*this, budget_};
  base::object_pool<client::local_reply> local_replies_;
  client::input_buffers input_;
  client::refusal_counts refusals_;
  client::stranger_list strangers_;
  client::session_environment sessions_;
  client::door door_{sessions_, clients, last_client_};
};

/// A test with two buses that are up, and a client.
class WorkerTest : public testing::Test {
 protected:
  explicit WorkerTest(bench_options options = {}) : bench_(std::move(options)) {}

  worker_bench bench_;
  fake_bus& a_ = bench_.a();
  fake_bus& b_ = bench_.b();
  bench_client& client_ = bench_.connect();
};

}  // namespace dualbus::operation::test

#include "worker_bench_parts.hpp"
