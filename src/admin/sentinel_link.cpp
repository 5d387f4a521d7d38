#include "sentinel_link.hpp"

#include "sentinel_replies.hpp"

#include <utility>

namespace dualbus::admin {
namespace {

// A Sentinel describes each of the others in less than 1 kB.
constexpr redis_connection::options connection_options = {.name = "dualbusd-sentinel",
                                                          .max_reply_bytes = 256 << 10};

config::bus_settings settings_of(const config::server_address& where,
                                 const config::sentinel_settings& login) {
  config::bus_settings settings;
  settings.set_address(where);
  settings.username = login.username;
  settings.password = login.password;
  settings.sentinel.master = login.master;
  return settings;
}

}  // namespace

sentinel_link::sentinel_link(const config::server_address& where, const config::sentinel_settings& login,
                             bool configured, const stop_signal& stop, std::chrono::milliseconds patience)
    : settings_(settings_of(where, login)),
      configured_(configured),
      patience_(patience),
      questions_(settings_, stop, connection_options),
      events_(settings_, stop, connection_options) {}

void sentinel_link::close() {
  questions_.close();
  events_.close();
}

sentinel_link::answer sentinel_link::failed() {
  events_.close();
  answer none;
  none.fault = "does not answer: " + questions_.error();
  return none;
}

sentinel_link::answer sentinel_link::ask() {
  if (!questions_.is_open() && !questions_.open(base::clock::now() + patience_)) return failed();
  const std::string& master = settings_.sentinel.master;
  request_batch questions;
  questions.add({"SENTINEL", "GET-MASTER-ADDR-BY-NAME", master});
  questions.add({"SENTINEL", "MASTER", master});
  questions.add({"SENTINEL", "SENTINELS", master});
  const base::time_point deadline = base::clock::now() + patience_;
  if (!questions_.send(questions, deadline)) return failed();
  answer result;
  for (std::size_t i = 0; i < questions.size(); ++i) {
    const auto reply = questions_.receive(deadline, "*-$");
    if (!reply) return failed();
    // Its rights may not cover the other two, which are not necessary.
    if (i == 0) {
      master_reply named = read_master_address(*reply);
      result.master = std::move(named.address);
      result.fault = std::move(named.fault);
    } else if (i == 1) {
      result.epoch = read_config_epoch(*reply);
    } else {
      result.others = read_sentinels(*reply);
    }
  }
  return result;
}

// +switch-master comes at the end of a failover, and the other two from the Sentinel that leads it, when the
// new master has been promoted and before the old one is told. The replies are taken with the announcements.
void sentinel_link::listen() {
  if (events_.is_open() || !events_.open(base::clock::now() + patience_)) return;
  request_batch subscription;
  subscription.add({"SUBSCRIBE", "+switch-master", "+promoted-slave", "+failover-state-reconf-slaves"});
  events_.send(subscription, base::clock::now() + patience_);
}

}  // namespace dualbus::admin
