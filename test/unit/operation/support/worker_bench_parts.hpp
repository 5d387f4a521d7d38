#pragma once

// The functions of worker_bench.hpp.
namespace dualbus::operation::test {

// Large requests are taken in pieces.
inline void bench_client::sends(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) bytes.remove_prefix(static_cast<std::size_t>(sent));
    if (!bytes.empty()) bench_.run();
  }
}

inline client::session* bench_client::find() const {
  return bench_.clients.find(id_);
}

inline std::string bench_client::got() {
  bench_.run();
  std::string result;
  char room[65536];
  for (;;) {
    const ssize_t received = ::recv(fd_.get(), room, sizeof room, MSG_DONTWAIT);
    if (received <= 0) return result + (received == 0 ? "(closed)" : "");
    result.append(room, static_cast<std::size_t>(received));
    bench_.run();
  }
}

inline std::shared_ptr<const config::configuration> worker_bench::parse(const std::string& settings) const {
  std::string text = "buses:\n";
  std::string keys;
  int slot = 0;
  for (const std::string& bus : options_.buses) {
    const std::string name = bus.substr(0, bus.find(','));
    const std::string more = bus.substr(name.size());
    text += "  " + name + ": {id_slot: " + std::to_string(++slot) + ", endpoint: \"unix:" + directory_ + "/" +
            name + "\"" + more + "}\n";
    keys += "    - {match: \"" + name + ":*\", bus: " + name + "}\n";
  }
  text += "anchor: a\n";
  if (settings.find("routing:") == std::string::npos) {
    text += "routing:\n  default_bus: a\n  keys:\n" + keys;
    if (options_.buses.size() > 1) text += "  types:\n    b: [b]\n";
  }
  const config::load_result result = config::parse(text + settings, "bench.yaml");
  for (const std::string& mistake : result.mistakes) ADD_FAILURE() << mistake;
  return result.value;
}

inline std::string new_directory() {
  std::string name = testing::TempDir() + "/dualbus-bench-XXXXXX";
  return ::mkdtemp(name.data());
}

inline worker_bench::worker_bench(bench_options options)
    : options_(std::move(options)),
      directory_(new_directory()),
      configuration_(parse(options_.settings)),
      bus_settings_(configuration_->buses),
      messages_(configuration_->buses.size(), 100),
      backend_(configuration_->backend),
      routing(configuration_, messages_),
      access(configuration_->auth),
      limits(configuration_->limits),
      times(metrics_, configuration_->buses),
      sessions_{
          turn,       poller,   reply_chunks_, local_replies_, input_,    memory_,
          times,      slow_log, metrics_,      engines_,       refusals_, places_,
          strangers_, clients,  handler,       access,         limits,    configuration_->buses.size()} {
  metrics_.buses.resize(configuration_->buses.size());
  pipelines_ = {backend_.reconnect_wait, backend_.reconnect_wait_bytes, backend_.request_timeout,
                limits.bus_output_buffer};
  input_.set_max_request(limits.max_request);
  stage.set_handler(handler);
  durable.follow_settings();
  for (std::size_t i = 0; i < configuration_->buses.size(); ++i) {
    const command::bus_rules& rules = configuration_->routing.buses[i];
    fakes_.push_back(std::make_unique<fake_bus>(directory_ + "/" + rules.name, [this] { run(); }));
    fakes_.back()->listens(options_.connected);
    buses.add(std::make_unique<backend::bus>(backend::link_environment{io_, poller, request_chunks_, backend_,
                                                                       bus_settings_[i], pipelines_,
                                                                       rules.name, metrics_.buses[i]}),
              rules.id_slot);
    const backend::link_environment& shared = buses.bus(static_cast<command::bus_index>(i)).environment();
    parking.add_bus(shared);
    hub.add_bus(shared);
    buses.bus(static_cast<command::bus_index>(i)).on_left_behind([this, i](backend::bus&) {
      for (session* client : clients.all()) client->follow(static_cast<command::bus_index>(i));
    });
    buses.bus(static_cast<command::bus_index>(i)).start(turn.now);
  }
  run();
  tick();
  run();
}

inline worker_bench::~worker_bench() {
  for (client::session* const client : clients.all()) client->close(metrics::close_reason::shutdown);
  links.stop();
  parking.stop(turn.now);
  hub.stop(turn.now);
  buses.stop();
  end_turn();
  std::filesystem::remove_all(directory_);
}

inline bench_client& worker_bench::connect() {
  int pair[2];
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
  door_.accept(base::unique_fd(pair[0]), false);
  ends_.push_back(std::make_unique<bench_client>(*this, base::unique_fd(pair[1]), last_client_.load()));
  return *ends_.back();
}

// As worker_parts::end_turn() does.
inline void worker_bench::end_turn() {
  turn.share_out();
  do {
    turn.resume_all();
    polls.settle();
    parking.settle();
    if (links.anybody_waits()) links.settle();
    buses.flush();
  } while (turn.wants_to_resume() || !polls.settled() || !parking.settled());
  parking.flush(turn.now);
  turn.flush_all();
  hub.flush(turn.now);
  memory_.settle(0);
  clients.free_retired();
  times.end_turn();
}

inline bool worker_bench::turn_once() {
  poller.wait({});
  turn.begin();
  bool any = poller.dispatch() > 0;
  turn.timers.run_due(turn.now);
  end_turn();
  for (const auto& f : fakes_) any |= f->step();
  return any;
}

inline void worker_bench::run() {
  constexpr int most_turns = 10'000;
  int quiet = 0;
  for (int i = 0; i < most_turns; ++i) {
    quiet = turn_once() ? 0 : quiet + 1;
    if (quiet == 2) return;
  }
  ADD_FAILURE() << "it never comes to rest";
}

inline void worker_bench::tick() {
  turn.begin();
  for (const auto& b : buses) b->tick(turn.now);
  parking.tick(turn.now);
  hub.tick(turn.now);
  polls.tick(turn.now);
  memory_.tick();
  end_turn();
}

inline void worker_bench::pass(std::chrono::milliseconds time) {
  constexpr std::chrono::milliseconds step{50};
  run();
  for (; time.count() > 0; time -= std::min(time, step)) {
    move_clock(std::min(time, step));
    run();
    tick();
    run();
  }
}

inline void worker_bench::reload(const std::string& settings) {
  turn.begin();
  const auto next = parse(settings);
  routing.reload(next);
  durable.follow_settings();
  const client::access_control before = std::exchange(access, client::access_control(next->auth));
  limits = next->limits;
  for (client::session* const client : clients.all()) {
    client->change_users();
    client->note_standing();
  }
  end_turn();
}

}  // namespace dualbus::operation::test
