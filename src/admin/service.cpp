#include "api.hpp"
#include "chart_history.hpp"
#include "daemon_snapshot.hpp"
#include "drain_monitor.hpp"
#include "drain_page.hpp"
#include "exporter.hpp"
#include "host_rule.hpp"
#include "http_server.hpp"
#include "info_poller.hpp"
#include "metrics_pages.hpp"
#include "page_assets.hpp"
#include "readiness.hpp"
#include "sampler.hpp"
#include "shared_redis.hpp"
#include "status_page.hpp"

#include <dualbus/admin/service.hpp>
#include <dualbus/admin/slot_marks.hpp>
#include <dualbus/base/log.hpp>

#include <chrono>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

namespace dualbus::admin {
namespace {

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

constexpr std::string_view html = "text/html; charset=utf-8";

info_poller::settings poll_settings(const config::configuration& configuration) {
  info_poller::settings settings;
  settings.connect_timeout = configuration.backend.connect_timeout;
  settings.backoff_min = configuration.backend.backoff_min;
  settings.backoff_max = configuration.backend.backoff_max;
  return settings;
}

}  // namespace

struct service::parts {
  parts(std::shared_ptr<const config::configuration> initial, daemon_view workers)
      : view(std::move(workers)), configuration(std::move(initial)) {
    reloads.last_success_unix_seconds = unix_seconds(base::clock::now());
  }

  daemon_snapshot observe() const {
    daemon_snapshot state;
    state.totals = add_up(view.snapshots());
    if (poller) state.buses = poller->status();
    if (drain) state.draining = drain->status();
    if (view.phase) state.phase = view.phase();
    if (view.sentinels) state.sentinels = view.sentinels();
    const std::scoped_lock lock(mutex);
    state.configuration = configuration;
    state.reloads = reloads;
    state.wrong_slots = wrong_slots;
    state.hand_overs = hand_overs;
    return state;
  }

  std::vector<http_page> pages() {
    std::vector<http_page> all = api_pages(api);
    for (http_page& page : own_pages()) all.push_back(std::move(page));
    for (const page_asset& asset : page_assets()) {
      all.push_back({std::string(asset.path), [asset] {
                       return http_reply{200, std::string(asset.content_type), std::string(asset.body)};
                     }});
    }
    return all;
  }

  std::vector<http_page> own_pages() {
    return {
        {"/",
         [this] {
           return http_reply{200, std::string(html), render_status_page(observe(), view.recent->current())};
         }},
        {"/tables",
         [this] {
           return http_reply{200, std::string(html), render_tables(observe(), view.recent->current())};
         }},
        {"/drain",
         [this] {
           return http_reply{200, "application/json; charset=utf-8", render_drain_page(observe())};
         }},
        {"/metrics", [this] { return render_metrics(metrics.Collect()); }},
        {"/metrics/redis",
         {},
         [this](std::string_view query) { return render_redis_metrics(observe(), query); }},
        {"/healthz",
         [] {
           return http_reply{200, "text/plain; charset=utf-8", "ok\n"};
         }},
        {"/readyz", {}, [this](std::string_view query) { return render_ready_page(observe(), query); }},
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

  // A bus may have been away when the daemon started, or may be another Redis now.
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
  chart_history charts;
  const api_sources api{.observe = [this] { return observe(); },
                        .recent = [this] { return view.recent->current(); },
                        .charts = charts,
                        .ask = view.ask,
                        .run_id = view.run_id,
                        .started = view.started};
  std::unique_ptr<info_poller> poller;
  std::unique_ptr<drain_monitor> drain;
  sampler samples{[this] { return observe(); }, *view.recent, charts};
  std::unique_ptr<http_server> server;

  slot_check slots;

  mutable std::mutex mutex;  // guards the members below
  std::vector<std::string> wrong_slots;
  std::shared_ptr<const config::configuration> configuration;
  reload_figures reloads;
  hand_over_figures hand_overs;
};

service::service(std::shared_ptr<const config::configuration> configuration, daemon_view view)
    : parts_(std::make_unique<parts>(std::move(configuration), std::move(view))) {}

service::~service() {
  stop();
}

void service::start(base::unique_fd listener) {
  const config::configuration& configuration = *parts_->configuration;
  if (configuration.admin.port == 0) return parts_->samples.start();
  // Poller and monitor exist before the first request can come, but run only once the address is taken.
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
  parts_->server->start(std::move(listener));
  parts_->poller->start();
  parts_->drain->start();
  parts_->samples.start();
  spdlog::info("admin: listening on {}:{}", configuration.admin.address, parts_->server->port());
}

void service::stop_sampling() {
  parts_->samples.stop();
}

void service::stop() {
  parts_->samples.stop();
  parts_->slots.stop();
  if (parts_->server) parts_->server->stop();
  if (parts_->poller) parts_->poller->stop();
  if (parts_->drain) parts_->drain->stop();
}

void service::note_reload(bool success) {
  const std::scoped_lock lock(parts_->mutex);
  ++(success ? parts_->reloads.succeeded : parts_->reloads.failed);
  parts_->reloads.last_succeeded = success;
  if (success) parts_->reloads.last_success_unix_seconds = unix_seconds(base::clock::now());
}

void service::note_hand_over(hand_over how) {
  const std::scoped_lock lock(parts_->mutex);
  ++parts_->hand_overs.ended[static_cast<std::size_t>(how)];
}

void service::continue_counts(const service& before) {
  const std::scoped_lock lock(parts_->mutex, before.parts_->mutex);
  parts_->reloads = before.parts_->reloads;
  parts_->hand_overs = before.parts_->hand_overs;
  parts_->charts.continue_from(before.parts_->charts);
}

int service::listener() const {
  return parts_->server ? parts_->server->listener() : -1;
}

void service::set_accepting(bool value) {
  if (parts_->server) parts_->server->set_accepting(value);
}

void service::set_configuration(std::shared_ptr<const config::configuration> configuration) {
  if (parts_->drain) parts_->drain->set_configuration(configuration);
  if (parts_->poller) parts_->poller->set_buses(configuration->buses, draining_buses(*configuration));
  const std::scoped_lock lock(parts_->mutex);
  parts_->configuration = std::move(configuration);
}

std::uint16_t service::port() const {
  return parts_->server ? parts_->server->port() : 0;
}

}  // namespace dualbus::admin
