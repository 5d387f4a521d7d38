#include "host_rule.hpp"

#include <dualbus/admin/daemon_state.hpp>
#include <dualbus/admin/drain_monitor.hpp>
#include <dualbus/admin/drain_page.hpp>
#include <dualbus/admin/exporter.hpp>
#include <dualbus/admin/http_server.hpp>
#include <dualbus/admin/info_poller.hpp>
#include <dualbus/admin/service.hpp>
#include <dualbus/admin/shared_redis.hpp>
#include <dualbus/admin/slot_marks.hpp>
#include <dualbus/admin/status_page.hpp>
#include <dualbus/base/log.hpp>

#include <chrono>
#include <mutex>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>

#include <prometheus/text_serializer.h>

namespace dualbus::admin {
namespace {

double unix_seconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::vector<std::string> bus_names(const config::configuration& configuration) {
  std::vector<std::string> names;
  for (const command::bus_rules& bus : configuration.routing.buses) names.push_back(bus.name);
  return names;
}

std::vector<bool> draining_buses(const config::configuration& configuration) {
  std::vector<bool> result;
  for (const command::bus_rules& bus : configuration.routing.buses) result.push_back(bus.draining);
  return result;
}

info_poller::settings poll_settings(const config::configuration& configuration) {
  info_poller::settings settings;
  settings.connect_timeout = configuration.backend.connect_timeout;
  settings.backoff_min = configuration.backend.backoff_min;
  settings.backoff_max = configuration.backend.backoff_max;
  return settings;
}

http_reply plain(unsigned status, std::string body) {
  http_reply reply;
  reply.status = status;
  reply.body = std::move(body);
  return reply;
}

}  // namespace

struct service::parts {
  parts(std::shared_ptr<const config::configuration> initial, daemon_view workers)
      : view(std::move(workers)), configuration(std::move(initial)) {
    reloads.last_success_unix_seconds = unix_seconds();
  }

  daemon_state observe() const {
    daemon_state state;
    state.totals = add_up(view.snapshots());
    if (poller) state.buses = poller->status();
    if (drain) state.draining = drain->status();
    const std::scoped_lock lock(mutex);
    state.configuration = configuration;
    state.reloads = reloads;
    return state;
  }

  std::vector<http_page> pages() {
    return {
        {"/",
         [this] {
           return http_reply{200, "text/html; charset=utf-8", render_status_page(observe())};
         }},
        {"/drain",
         [this] {
           return http_reply{200, "application/json; charset=utf-8", render_drain_page(observe())};
         }},
        {"/metrics", [this] { return metrics_page(); }},
        {"/healthz", [] { return plain(200, "ok\n"); }},
        {"/readyz", [this] { return ready_page(); }},
    };
  }

  bool serves(std::string_view host) const {
    const std::scoped_lock lock(mutex);
    if (is_own_host(host, configuration->admin.hosts)) return true;
    base::warn_limited(
        {}, "admin: a request for the host '{}' was refused; if it is this one, add it to admin.hosts",
        base::in_log(host));
    return false;
  }

  http_reply metrics_page() const {
    std::ostringstream out;
    prometheus::TextSerializer().Serialize(out, metrics.Collect());
    return {200, "text/plain; version=0.0.4; charset=utf-8", std::move(out).str()};
  }

  http_reply ready_page() const {
    const daemon_state state = observe();
    std::string reasons;
    for (const bus_fault& f : buses_not_ready(state)) reasons += "bus " + f.bus + " " + f.text + "\n";
    for (const shared_redis& shared : find_shared_redis(state.buses, *state.configuration)) {
      reasons += describe(shared, *state.configuration) + "\n";
    }
    {
      const std::scoped_lock lock(mutex);
      for (const std::string& mistake : wrong_slots) reasons += mistake + "\n";
    }
    return reasons.empty() ? plain(200, "ready\n") : plain(503, "not ready\n" + reasons);
  }

  void report_shared_redis() const {
    const auto known = [this] {
      const std::scoped_lock lock(mutex);
      return configuration;
    }();
    for (const shared_redis& shared : find_shared_redis(poller->status(), *known)) {
      base::error_limited({},
                          "{} (run_id {}): every message there is delivered twice; correct their endpoints",
                          describe(shared, *known), base::in_log(shared.run_id));
    }
  }

  // A bus may have been away when the daemon started, or be another Redis now.
  void look_at_slots() {
    const auto known = [this] {
      const std::scoped_lock lock(mutex);
      return configuration;
    }();
    slot_findings found = slots.run(*known);
    for (const std::string& mistake : found.mistakes) base::error_limited({}, "{}", mistake);
    const std::scoped_lock lock(mutex);
    wrong_slots = std::move(found.mistakes);
  }

  const daemon_view view;
  const exporter metrics{[this] { return observe(); }};
  std::unique_ptr<info_poller> poller;
  std::unique_ptr<drain_monitor> drain;
  std::unique_ptr<http_server> server;

  slot_check slots;

  mutable std::mutex mutex;  // guards what is below
  std::vector<std::string> wrong_slots;
  std::shared_ptr<const config::configuration> configuration;
  reload_figures reloads;
};

service::service(std::shared_ptr<const config::configuration> configuration, daemon_view view)
    : parts_(std::make_unique<parts>(std::move(configuration), std::move(view))) {}

service::~service() {
  stop();
}

void service::start() {
  const config::configuration& configuration = *parts_->configuration;
  if (configuration.admin.port == 0) return;
  // Poller and monitor stand before the first request can come, and run only once the address is ours.
  info_poller::settings polling = poll_settings(configuration);
  polling.on_other_redis = [parts = parts_.get()] {
    parts->report_shared_redis();
    parts->look_at_slots();
  };
  polling.doubt = parts_->view.doubt;
  parts_->poller = std::make_unique<info_poller>(bus_names(configuration), configuration.buses,
                                                 draining_buses(configuration), std::move(polling));
  parts_->drain = std::make_unique<drain_monitor>(parts_->configuration,
                                                  drain_monitor::settings{.rest = parts_->view.rest});
  parts_->server = std::make_unique<http_server>(
      configuration.admin.address, configuration.admin.port, parts_->pages(), http_server::limits(),
      [parts = parts_.get()](std::string_view host) { return parts->serves(host); });
  parts_->server->start();
  parts_->poller->start();
  parts_->drain->start();
  spdlog::info("admin: listening on {}:{}", configuration.admin.address, parts_->server->port());
}

void service::stop() {
  parts_->slots.stop();
  if (parts_->server) parts_->server->stop();
  if (parts_->poller) parts_->poller->stop();
  if (parts_->drain) parts_->drain->stop();
}

void service::note_reload(bool success) {
  const std::scoped_lock lock(parts_->mutex);
  ++(success ? parts_->reloads.succeeded : parts_->reloads.failed);
  parts_->reloads.last_succeeded = success;
  if (success) parts_->reloads.last_success_unix_seconds = unix_seconds();
}

void service::set_configuration(std::shared_ptr<const config::configuration> configuration) {
  if (parts_->drain) parts_->drain->set_configuration(configuration);
  if (parts_->poller) parts_->poller->set_logins(configuration->buses);
  const std::scoped_lock lock(parts_->mutex);
  parts_->configuration = std::move(configuration);
}

std::uint16_t service::port() const {
  return parts_->server ? parts_->server->port() : 0;
}

}  // namespace dualbus::admin
