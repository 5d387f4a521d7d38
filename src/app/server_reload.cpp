#include "log_settings.hpp"
#include "server.hpp"

#include <dualbus/base/log.hpp>
#include <dualbus/config/difference.hpp>
#include <dualbus/config/loader.hpp>
#include <dualbus/config/reload.hpp>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <fmt/format.h>
#include <sys/socket.h>
#include <system_error>

// The server while it runs, with another configuration: it follows, or makes way to one that is built anew.
namespace dualbus::app {
namespace {

// The groups of two lists must fit beside each other in the checks.
constexpr std::size_t most_buses = 16;

}  // namespace

void server::reload() {
  reloader_.ask();
}

// The effect of a reload as far as the file tells: no bus is asked.
handler::file_trial server::try_file() const {
  const config::load_result loaded = config::load(told_.path);
  handler::file_trial found;
  for (const std::string& warning : loaded.warnings) found.lines.push_back("warning: " + warning);
  found.mistakes = loaded.mistakes.size();
  found.lines.insert(found.lines.begin(), loaded.mistakes.begin(), loaded.mistakes.end());
  if (!loaded.value) return found;
  const config::bus_union both(*configuration_, *loaded.value);
  const auto add = [&found](const std::string& prefix, const std::vector<std::string>& lines) {
    for (const std::string& line : lines) found.lines.push_back(prefix + line);
  };
  const std::vector<std::string> changes = config::differences(*configuration_, *loaded.value);
  add("", changes);
  if (changes.empty()) found.lines.emplace_back("nothing is different");
  add("effect: ", config::side_effects(both.running, both.loaded));
  add("new workers are started for the change of ",
      config::new_workers_needed(*configuration_, *loaded.value));
  return found;
}

void server::take_masters() {
  configuration_ = masters_.fill(configuration_);
  admin_->set_configuration(configuration_);
}

void server::note_draining() {
  const std::lock_guard lock(resting_mutex_);
  draining_ = 0;
  for (std::size_t i = 0; i < configuration_->routing.buses.size(); ++i)
    draining_ |= std::uint32_t{configuration_->routing.buses[i].draining} << i;
  daemon_.resting_buses.fetch_and(draining_);
}

// A check that has just ended may speak of a bus that is active again.
void server::rest(std::uint32_t buses) {
  const std::lock_guard lock(resting_mutex_);
  daemon_.resting_buses.store(buses & draining_, std::memory_order_relaxed);
}

bool server::refuse(const std::vector<std::string>& mistakes) {
  if (moves_.stopped()) return false;
  for (const std::string& line : mistakes) base::log_event(spdlog::level::err, "buses_not_changed", line);
  if (mistakes.empty()) return true;
  spdlog::error("configuration not reloaded: nothing was changed");
  return false;
}

// The list of buses. IDs that clients hold name a bus by its slot.
bool server::may_change_buses(const config::configuration& loaded, const config::bus_union& both) {
  const auto &before = both.running.routing.buses, &after = both.loaded.routing.buses;
  std::vector<std::string> mistakes;
  for (std::size_t i = 0; i < before.size(); ++i) {
    if (before[i].id_slot == after[i].id_slot) continue;
    mistakes.push_back(
        fmt::format("buses.{}.id_slot: cannot change from {} to {} while clients may hold IDs with it; a bus "
                    "with another "
                    "slot needs another name",
                    after[i].name, before[i].id_slot, after[i].id_slot));
  }
  if (before.size() > most_buses)
    mistakes.push_back(fmt::format(
        "buses: those before and those now are {}, more than {}: remove buses first, and add others with a "
        "second reload",
        before.size(), most_buses));
  if (mistakes.empty() && !both.removed.empty()) {
    spdlog::info("looking whether {} can be removed: this takes about {} ms (draining.quiet)",
                 both.removed.size() == 1 ? "the bus" : "the buses", configuration_->draining.quiet.count());
    mistakes = retirements_.run(*configuration_, loaded);
  }
  return refuse(mistakes);
}

bool server::may_move_buses(const config::configuration& loaded) {
  const admin::place_check::findings found = places_.run(*configuration_, loaded);
  std::vector<std::string> mistakes = found.mistakes;
  for (const std::string& line : found.warnings) base::log_event(spdlog::level::warn, "place_of_bus", line);
  if (mistakes.empty() && found.moves) {
    const admin::slot_findings slots = slots_.run(loaded);
    for (const std::string& line : slots.warnings) base::log_event(spdlog::level::warn, "slot_of_bus", line);
    mistakes = slots.mistakes;
  }
  return refuse(mistakes);
}

bool server::may_move_anchor(const config::bus_union& both) {
  const admin::anchor_move::findings found = anchors_.run(both.running, both.loaded);
  if (!refuse(found.mistakes)) return false;
  if (found.made > 0)
    spdlog::info("anchor: {} groups were made on bus '{}'", found.made,
                 both.loaded.routing.buses[both.loaded.routing.anchor].name);
  return true;
}

bool server::may_move_keys(const config::bus_union& both) {
  const bool allowed = both.loaded.moves == config::stream_moves::allowed;
  const admin::move_report found = moves_.run(both.running, both.loaded);
  if (moves_.stopped()) return false;
  const auto level = allowed ? spdlog::level::warn : spdlog::level::err;
  for (const std::string& line : found.streams) base::log_event(level, "stream_out_of_reach", line);
  if (found.more_streams > 0) spdlog::log(level, "… and {} more such streams", found.more_streams);
  for (const std::string& line : found.unchecked) base::log_event(level, "keys_not_checked", line);
  for (const std::string& line : found.others) base::log_event(spdlog::level::warn, "key_out_of_reach", line);
  if (allowed || (found.streams.empty() && found.unchecked.empty())) return true;
  spdlog::error(
      "configuration not reloaded: nothing was changed; have the entries read and acknowledged first, "
      "remove them{}, or say 'moved_streams: allowed' in 'routing'",
      found.unchecked.empty() ? "" : ", wait for the bus");
  return false;
}

void server::load_again() {
  base::reopen_log_file();
  if (making_way_) return told_.reload_again();
  const config::load_result loaded = config::load(told_.path);
  for (const std::string& warning : loaded.warnings)
    base::log_event(spdlog::level::warn, "configuration_warning", warning);
  if (!loaded.value) {
    for (const std::string& mistake : loaded.mistakes)
      base::log_event(spdlog::level::err, "configuration_mistake", mistake);
    spdlog::error("configuration not reloaded: {} mistake(s), nothing was changed", loaded.mistakes.size());
    return admin_->note_reload(false);
  }
  const auto wanted = masters_.fill(loaded.value);
  const config::bus_union both(*configuration_, *wanted);
  if (!may_change_buses(*wanted, both) || !may_move_buses(*wanted) || !may_move_keys(both) ||
      !may_move_anchor(both)) {
    if (!moves_.stopped()) admin_->note_reload(false);
    return;
  }
  for (const std::string& line : config::side_effects(both.running, both.loaded))
    base::log_event(spdlog::level::warn, "configuration_side_effect", line);
  for (const std::string& line : config::differences(*configuration_, *loaded.value))
    base::log_event(spdlog::level::info, "configuration_change", line);
  if (config::new_workers_needed(*configuration_, *loaded.value).empty()) {
    follow(loaded.value);
  } else {
    make_way(loaded.value);
  }
}

void server::follow(const std::shared_ptr<const config::configuration>& loaded) {
  const std::vector<std::string> changed = config::changed_keys(*configuration_, *loaded);
  configuration_ = masters_.pass_on(loaded, [this](const auto& complete) {
    for (auto& w : workers_) w->post([c = complete](worker_parts& parts) { parts.reload(c); });
  });
  note_draining();
  drain_delay_ = configuration_->limits.drain_delay;
  hand_over_timeout_ms_ = configuration_->control.handover_timeout.count();
  apply_log_settings(*configuration_);
  limit_memory();
  admin_->set_configuration(configuration_);
  admin_->note_reload(true);
  spdlog::info("configuration reloaded: {}", changed.empty()
                                                 ? "nothing is different"
                                                 : fmt::format("changed {}", fmt::join(changed, ", ")));
}

// The workers cannot follow. Others are built with the new configuration, and take the clients over as those
// of another process would.
void server::make_way(const std::shared_ptr<const config::configuration>& loaded) {
  const std::vector<std::string> why = config::new_workers_needed(*configuration_, *loaded);
  spdlog::info("new workers are started for the change of {}", fmt::join(why, ", "));
  predecessor self{.control_socket = {},
                   .meet = [this] { return begin_hand_over(); },
                   .run_id = daemon_.facts.run_id,
                   .started = daemon_.facts.started,
                   .service = admin_.get(),
                   .new_masters = {}};
  const config::bus_union both(*configuration_, *loaded);
  for (std::size_t i = 0; i < both.loaded.buses.size(); ++i) {
    const config::sentinel_settings &before = both.running.buses[i].sentinel,
                                    &after = both.loaded.buses[i].sentinel;
    const bool added = std::find(both.added.begin(), both.added.end(), i) != both.added.end();
    if (added || before.master != after.master || before.sentinels != after.sentinels)
      self.new_masters.push_back(both.loaded.routing.buses[i].name);
  }
  if (daemon_.phase != admin::daemon_phase::serving) {
    spdlog::error("configuration not reloaded: the daemon is about to stop");
    return admin_->note_reload(false);
  }
  making_way_ = true;
  try {
    told_.replace(loaded, std::move(self));
  } catch (const std::exception&) {
    stay();  // the reason is in the log
  }
}

base::unique_fd server::begin_hand_over() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0)
    throw std::system_error(errno, std::generic_category(), "socketpair");
  control_->hand_over_to(base::unique_fd(ends[0]));
  return base::unique_fd(ends[1]);
}

// Whoever notices first that the others have failed says so.
void server::stay() {
  if (!making_way_.exchange(false)) return;
  spdlog::error("configuration not reloaded: nothing was changed");
  admin_->note_reload(false);
}

}  // namespace dualbus::app
