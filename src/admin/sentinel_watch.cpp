#include "info_parser.hpp"
#include "master_choice.hpp"
#include "sentinel_circle.hpp"
#include "sentinel_replies.hpp"
#include "thread_setup.hpp"

#include <dualbus/admin/sentinel_watch.hpp>
#include <dualbus/base/log.hpp>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <system_error>
#include <thread>
#include <unistd.h>
#include <utility>

namespace dualbus::admin {
namespace {

using namespace std::chrono_literals;

// An announcement may be lost with the connection it came over.
constexpr auto ask_interval = 2s;
// So soon a question may follow another one, whoever wants it.
constexpr auto shortest_pause = 200ms;
// Contradictions show only when all are asked.
constexpr auto survey_interval = 10s;
constexpr auto survey_pause = 1s;  // while no Sentinel answers, or none agrees with what is known
constexpr auto troubled_survey =
    3s;  // while the master that the Sentinel names is lost: one that hangs costs time

constexpr redis_connection::options probe_options = {.name = "dualbusd-role", .max_reply_bytes = 64 << 10};

}  // namespace

class sentinel_watch::bus_watch {
 public:
  bus_watch(std::size_t index, const config::configuration& configuration, const found_function& found)
      : name_(configuration.routing.buses[index].name),
        configuration_(configuration),
        patience_(configuration.backend.connect_timeout),
        found_(found),
        wanted_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
        wakers_(::epoll_create1(EPOLL_CLOEXEC)),
        circle_(configuration.buses[index].sentinel, stop_, patience_),
        choice_(configuration.buses[index].sentinel.sentinels.size()),
        login_(configuration.buses[index]) {
    status_.bus = index;
    status_.known = circle_.size();
    if (!wanted_ || !wakers_) throw std::system_error(errno, std::generic_category(), "sentinel watch");
    wake_for(wanted_.get());
  }

  void start() {
    thread_ = start_quiet_thread("find-" + name_, [this] { run(); });
  }
  void stop() {
    stop_.raise();
    if (thread_.joinable()) thread_.join();
  }
  void look() {
    if (troubled_.exchange(true)) return;
    const std::uint64_t one = 1;
    // This can fail only when the counter is full, and then the thread has been woken already.
    [[maybe_unused]] const auto written = ::write(wanted_.get(), &one, sizeof one);
  }
  void set_login(const config::bus_settings& bus) {
    const std::scoped_lock lock(mutex_);
    login_.username = bus.username;
    login_.password = bus.password;
  }
  sentinel_status status() const {
    const std::scoped_lock lock(mutex_);
    return status_;
  }
  void await_first(base::time_point deadline) {
    std::unique_lock lock(mutex_);
    looked_once_.wait_until(lock, deadline, [this] { return looked_; });
  }

 private:
  void run() {
    for (;;) {
      const bool troubled = troubled_.exchange(false);
      ask(troubled);
      {
        const std::scoped_lock lock(mutex_);
        looked_ = true;
        looked_once_.notify_all();
      }
      const base::time_point asked = base::clock::now();
      if (stop_.wait(-1, 0, asked + shortest_pause) == stop_signal::wake::stopped) break;
      const bool unsettled = troubled || circle_.first() == nullptr || !choice_.present();
      if (unsettled) continue;
      if (stop_.wait(wakers_.get(), POLLIN, asked + ask_interval) == stop_signal::wake::stopped) break;
      take_wakes();
    }
    circle_.close();
  }

  void wake_for(int descriptor) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = descriptor;
    ::epoll_ctl(wakers_.get(), EPOLL_CTL_ADD, descriptor, &event);  // one that is closed leaves by itself
  }

  void take_wakes() {
    std::uint64_t ignored;
    [[maybe_unused]] const auto got = ::read(wanted_.get(), &ignored, sizeof ignored);
    if (sentinel_link* const first = circle_.first(); first != nullptr && first->listening())
      first->drop_events();
  }

  // ------------------------------------------------------------------------------------------ one question

  void ask(bool troubled) {
    const base::time_point now = base::clock::now();
    const base::time_point due =
        last_survey_ + (troubled ? base::duration(troubled_survey) : survey_interval);
    if (circle_.first() == nullptr || !choice_.present() || now >= due || !ask_first()) {
      if (now < last_survey_ + survey_pause) return;
      last_survey_ = now;
      survey();
    }
    if (!stop_.raised()) note_first();
  }

  // True if that is enough.
  bool ask_first() {
    const sentinel_circle::said said = circle_.ask_first();
    if (!note(said)) return false;
    const sentinel_answer answer = as_answer(said);
    if (choice_.confirms(answer)) {
      choice_.adopt({answer.master, answer.epoch});
      return true;
    }
    if (!choice_.is_news(answer)) return false;
    return try_master({answer.master, answer.epoch}, *said.by);
  }

  void survey() {
    std::vector<sentinel_answer> answers;
    std::vector<sentinel_circle::said> all = circle_.ask_all();
    for (const sentinel_circle::said& said : all) {
      if (note(said)) answers.push_back(as_answer(said));
    }
    const auto knows = [&](const config::server_address& master) -> sentinel_link& {
      return *std::find_if(all.begin(), all.end(), [&](const auto& s) {
                return s.answer.master == master;
              })->by;
    };
    for (const master_choice::candidate& candidate : choice_.order(answers)) {
      if (choice_.is_present(candidate.address)) return choice_.adopt(candidate);
      if (try_master(candidate, knows(candidate.address))) return;
    }
  }

  static sentinel_answer as_answer(const sentinel_circle::said& said) {
    return {*said.answer.master, said.answer.epoch, said.by->configured()};
  }

  // ------------------------------------------------------------------------------------------- the master

  // Goes to the server if it says that it is a master.
  bool try_master(const master_choice::candidate& named, sentinel_link& by) {
    const std::string why_not = objection_to(named.address);
    if (!why_not.empty()) {
      if (stop_.raised()) return false;
      base::warn_limited(name_, "bus '{}': Sentinel {} says that the master is {}, which {}: it is not used",
                         name_, by.endpoint(), named.address.endpoint, why_not);
      const std::scoped_lock lock(mutex_);
      ++status_.refused_masters;
      return false;
    }
    const std::string before = choice_.present() ? choice_.present()->address.endpoint : std::string();
    base::info_limited(name_, "bus '{}': the master is {}{}{}, says Sentinel {}", name_,
                       named.address.endpoint, before.empty() ? "" : ", no longer ", before, by.endpoint());
    choice_.adopt(named);
    circle_.prefer(by);
    {
      const std::scoped_lock lock(mutex_);
      status_.failovers += before.empty() ? 0 : 1;
      status_.master = named.address;
    }
    found_(status_.bus, named.address);
    return true;
  }

  // Why the server is not to be used; empty if it says that it is a master.
  std::string objection_to(const config::server_address& server) {
    if (config::is_own_address(configuration_, server)) return "is this daemon itself";
    config::bus_settings settings;
    {
      const std::scoped_lock lock(mutex_);
      settings = login_;
    }
    settings.set_address(server);
    redis_connection connection(settings, stop_, probe_options);
    if (!connection.open(base::clock::now() + patience_)) return failure(connection);
    const auto reply = connection.ask({"HELLO"}, base::clock::now() + patience_, "*-");
    if (!reply) return failure(connection);
    const std::string role = read_role(*reply);
    if (role == "master") return {};
    return role.empty() ? "does not say that it is a master" : "says that it is a " + base::in_log(role);
  }

  static std::string failure(const redis_connection& connection) {
    return "cannot be asked: " + base::in_log(connection.error(), 200);
  }

  // ------------------------------------------------------------------------------------------- the status

  // True if the Sentinel names a master.
  bool note(const sentinel_circle::said& said) {
    const bool good = said.answer.master.has_value();
    if (!good && !stop_.raised()) {
      base::warn_limited({said.by->endpoint(), 2}, "bus '{}': Sentinel {}, asked for the master '{}', {}",
                         name_, said.by->endpoint(), said.by->settings().sentinel.master,
                         base::in_log(said.answer.fault, 200));
    }
    const std::scoped_lock lock(mutex_);
    status_.known = circle_.size();
    if (good) {
      status_.sentinel = said.by->endpoint();
    } else {
      ++status_.failures;
      status_.error = "Sentinel " + said.by->endpoint() + " " + printable_name(said.answer.fault);
    }
    return good;
  }

  void note_first() {
    sentinel_link* const first = circle_.first();
    if (first != nullptr && first->listening()) wake_for(first->events());  // it may be a new connection
    const bool up = first != nullptr;
    {
      const std::scoped_lock lock(mutex_);
      status_.up = up;
      if (up) status_.error.clear();
    }
    if (told_up_ == up) return;
    told_up_ = up;
    if (up) {
      base::info_limited(name_, "bus '{}': Sentinel {} answers", name_, first->endpoint());
    } else {
      base::warn_limited(name_, "bus '{}': no Sentinel names a master: a failover is not noticed", name_);
    }
  }

  const std::string name_;
  const config::configuration configuration_;  // as the daemon started with
  const std::chrono::milliseconds patience_;
  const found_function& found_;
  const base::unique_fd wanted_, wakers_;  // readable: somebody wants a question; that, or an announcement
  stop_signal stop_;
  std::atomic<bool> troubled_ = false;
  sentinel_circle circle_;  // used by the thread only, like the three below
  master_choice choice_;
  base::time_point last_survey_{};
  std::optional<bool> told_up_;
  mutable std::mutex mutex_;  // guards the members below
  std::condition_variable looked_once_;
  bool looked_ = false;
  config::bus_settings login_;
  sentinel_status status_;
  std::thread thread_;
};

sentinel_watch::sentinel_watch(const config::configuration& configuration, found_function found)
    : found_(std::move(found)) {
  for (std::size_t i = 0; i < configuration.buses.size(); ++i) {
    buses_.push_back(configuration.buses[i].has_sentinels()
                         ? std::make_unique<bus_watch>(i, configuration, found_)
                         : nullptr);
  }
}

sentinel_watch::~sentinel_watch() {
  stop();
}

void sentinel_watch::start() {
  for (const auto& bus : buses_) {
    if (bus) bus->start();
  }
}

void sentinel_watch::stop() {
  for (const auto& bus : buses_) {
    if (bus) bus->stop();
  }
}

void sentinel_watch::await_first(std::chrono::milliseconds longest) const {
  const base::time_point deadline = base::clock::now() + longest;
  for (const auto& bus : buses_) {
    if (bus) bus->await_first(deadline);
  }
}

void sentinel_watch::look(std::size_t bus) {
  if (bus < buses_.size() && buses_[bus]) buses_[bus]->look();
}

void sentinel_watch::set_logins(const std::vector<config::bus_settings>& buses) {
  for (std::size_t i = 0; i < std::min(buses.size(), buses_.size()); ++i) {
    if (buses_[i]) buses_[i]->set_login(buses[i]);
  }
}

std::vector<sentinel_status> sentinel_watch::status() const {
  std::vector<sentinel_status> all;
  for (const auto& bus : buses_) {
    if (bus) all.push_back(bus->status());
  }
  return all;
}

}  // namespace dualbus::admin
