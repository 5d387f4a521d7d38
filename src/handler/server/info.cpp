#include "handler/key/keyspace_figures.hpp"
#include "info_sections.hpp"
#include "server_commands.hpp"

#include <dualbus/base/numbers.hpp>
#include <dualbus/base/version.hpp>
#include <dualbus/client/session.hpp>
#include <dualbus/command/command_table.hpp>
#include <dualbus/handler/daemon_counts.hpp>
#include <dualbus/operation/bus_survey.hpp>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <sys/resource.h>
#include <unistd.h>
#include <utility>
#include <vector>

// INFO: the daemon's own values in the sections where tools look for them, and a section for each bus.
namespace dualbus::handler {
namespace {

// A value of /proc/self/status, in bytes; 0 if it is not there.
std::uint64_t memory_figure(std::string_view name) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(name)) return std::strtoull(line.c_str() + name.size(), nullptr, 10) * 1024;
  }
  return 0;
}

double to_seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

std::string server_section(const server_services& c, const bus_info& default_bus) {
  std::string software;
  for (const auto& [field, value] : software_of(c.identity(), default_bus))
    software += fmt::format("{}:{}\r\n", field, value);
  // Valkey has another name for redis_mode.
  const bool valkey =
      default_bus.empty() ? c.identity().name == "valkey" : !default_bus.field("server_mode").empty();
  using namespace std::chrono;
  const auto uptime = duration_cast<seconds>(system_clock::now() - c.daemon.started).count();
  return fmt::format(
      "# Server\r\n{}{}:standalone\r\nos:Linux\r\narch_bits:64\r\n"
      "multiplexing_api:epoll\r\nprocess_id:{}\r\nrun_id:{}\r\ntcp_port:{}\r\nuptime_in_seconds:{}\r\n"
      "uptime_in_days:{}\r\ndualbus_version:{}\r\ndualbus_workers:{}\r\n",
      software, valkey ? "server_mode" : "redis_mode", ::getpid(), c.daemon.run_id,
      c.configuration().listen.port, uptime, uptime / 86400, base::version, c.configuration().workers);
}

std::string buses_section(const server_services& c, const std::vector<bus_info>& buses) {
  std::string text = "# Buses\r\n";
  for (std::size_t i = 0; i < c.buses.count(); ++i) {
    const auto bus = static_cast<command::bus_index>(i);
    std::string software;
    for (const auto& [field, value] : software_of(c.buses.bus(bus).identity(), buses[i]))
      software += fmt::format(",{}={}", field, value);
    text += fmt::format("bus_{}:endpoint={},id_slot={},state={},connected={}{}\r\n", c.buses.name(bus),
                        c.buses.bus(bus).environment().target.endpoint, c.buses.slot_of(bus),
                        c.configuration().routing.buses[i].draining ? "draining" : "active",
                        c.buses.bus(bus).up() ? 1 : 0, software);
  }
  return text;
}

std::string stats_section(const server_services& services, const daemon_counts& total,
                          const error_totals& errors) {
  return fmt::format(
      "# "
      "Stats\r\ntotal_connections_received:{}\r\ntotal_commands_processed:{}\r\ntotal_net_input_bytes:{}\r\n"
      "total_net_output_bytes:{}\r\nrejected_connections:{}\r\ntotal_error_replies:{}\r\n"
      "acl_access_denied_auth:{}\r\npubsub_channels:{}\r\npubsub_patterns:{}\r\npubsubshard_channels:{}\r\n",
      total.accepted, total.requests, total.received, total.sent, total.rejected, errors.sum(),
      total.authentication_failures, services.registry.names(backend::subscription::channel),
      services.registry.names(backend::subscription::pattern),
      services.registry.names(backend::subscription::shard));
}

std::string cpu_section() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return fmt::format(
      "# CPU\r\nused_cpu_sys:{:.6f}\r\nused_cpu_user:{:.6f}\r\nused_cpu_sys_children:0.000000\r\n"
      "used_cpu_user_children:0.000000\r\n",
      to_seconds(usage.ru_stime), to_seconds(usage.ru_utime));
}

enum class shown : std::uint8_t { by_default, in_all };

// The sections that Redis shows without one named, with `all`, with `everything`, and with their names.
bool wants(const std::vector<std::string>& sections, std::string_view name, shown when) {
  if (sections.empty()) return when == shown::by_default;
  return std::any_of(sections.begin(), sections.end(), [&](const std::string& section) {
    if (section == "default") return when == shown::by_default;
    return section == "all" || section == "everything" || section == name;
  });
}

// One answer to INFO.
class info_report {
 public:
  info_report(const server_services& services, const std::vector<std::string>& sections, daemon_counts total,
              const std::vector<bus_info>& buses)
      : services_(services), sections_(sections), total_(std::move(total)), buses_(buses) {
    const bool passed = services.configuration().routing.server_commands == command::server_commands::passed;
    if (passed && buses_.size() == 1 && !buses_[0].empty()) alone_ = &buses_[0];
  }

  std::string text();

 private:
  void add(std::string_view name, const std::string& section, shown when = shown::by_default) {
    if (wants(sections_, name, when)) text_ += (text_.empty() ? "" : "\r\n") + section;
  }
  // The bus's own section, if the daemon stands in for one bus.
  std::string of_bus(std::string_view title, std::string otherwise) const {
    if (alone_ == nullptr) return otherwise;
    return fmt::format("# {}\r\n{}", title, alone_->section(title));
  }
  std::string with_bus(std::string_view title, std::string own) const {
    return alone_ == nullptr ? own : completed(std::move(own), title, *alone_);
  }
  std::string clients_section() const;
  std::string keyspace_section() const;

  const server_services& services_;
  const std::vector<std::string>& sections_;
  const daemon_counts total_;
  const std::vector<bus_info>& buses_;
  const bus_info* alone_ = nullptr;
  std::string text_;
};

std::string info_report::clients_section() const {
  return fmt::format(
      "# "
      "Clients\r\nconnected_clients:{}\r\ncluster_connections:0\r\nmaxclients:{}\r\nblocked_clients:{}\r\n"
      "tracking_clients:0\r\n",
      total_.clients, services_.configuration().limits.max_clients, total_.blocked);
}

std::string info_report::keyspace_section() const {
  const config::configuration& c = services_.configuration();
  keyspace_figures figures;
  for (std::size_t i = 0; i < buses_.size(); ++i)
    figures.add(buses_[i].section("keyspace"), c.buses[i].database, c.databases);
  return figures.section();
}

std::string info_report::text() {
  const bus_info& default_bus = buses_[services_.configuration().routing.default_bus];
  add("server", with_bus("Server", server_section(services_, default_bus)));
  add("clients", with_bus("Clients", clients_section()));
  add("memory", of_bus("Memory", memory_section({memory_figure("VmRSS:"), memory_figure("VmHWM:")}, buses_)));
  add("persistence", of_bus("Persistence", persistence_section(buses_)));
  const error_totals errors(total_, buses_);
  const std::string stats = stats_section(services_, total_, errors);
  add("stats", alone_ != nullptr ? with_bus("Stats", stats) : stats + summed_stats(buses_));
  add("replication", of_bus("Replication", replication_section(buses_)));
  add("cpu", cpu_section());
  add("modules", of_bus("Modules", "# Modules\r\n"));
  add("commandstats", commandstats_section(total_, buses_, alone_), shown::in_all);
  add("errorstats", errors.section());
  add("latencystats", of_bus("Latencystats", "# Latencystats\r\n"), shown::in_all);
  add("cluster", "# Cluster\r\ncluster_enabled:0\r\n");
  add("keyspace", keyspace_section());
  add("buses", buses_section(services_, buses_));
  for (std::size_t i = 0; alone_ == nullptr && i < buses_.size(); ++i) {
    const std::string& name = services_.buses.name(static_cast<command::bus_index>(i));
    const std::string section = "bus_" + name;
    if (wants(sections_, "buses", shown::by_default) || wants(sections_, section, shown::by_default)) {
      text_ += (text_.empty() ? "" : "\r\n") + bus_section(name, buses_[i]);
    }
  }
  return std::move(text_);
}

// The section that the buses are asked for to answer `sections`; empty if they need not be asked.
std::string_view question(const std::vector<std::string>& sections) {
  constexpr std::string_view own[] = {"cpu", "cluster"};
  const bool long_ones =
      wants(sections, "commandstats", shown::in_all) || wants(sections, "latencystats", shown::in_all);
  if (long_ones) return sections.size() == 1 && sections[0] == "commandstats" ? "commandstats" : "everything";
  if (sections.size() == 1 && (sections[0] == "keyspace" || sections[0] == "errorstats")) return sections[0];
  const bool none =
      !sections.empty() && std::all_of(sections.begin(), sections.end(), [&](const std::string& s) {
        return std::find(std::begin(own), std::end(own), s) != std::end(own);
      });
  return none ? std::string_view() : "default";
}

}  // namespace

void run_info(server_services& services, session& client, routed_request& request) {
  const auto sections = std::make_shared<std::vector<std::string>>();
  for (const std::string_view arg : request.args.subspan(1)) {
    std::string name(arg);
    for (char& c : name) c = base::to_lower(c);
    sections->push_back(std::move(name));
  }
  client.defer(request);
  const auto ask_workers = [&services, sections, id = client.id()](const std::vector<bus_info>& buses) {
    // At the daemon's end the client is gone, and with it perhaps the workers to ask.
    if (services.clients().find(id) == nullptr) return;
    collect_counts(services.workers(), [&services, sections, buses, id](const daemon_counts& all) {
      session* const waiting = services.clients().find(id);
      if (waiting == nullptr) return;
      daemon_counts total = all;
      services.daemon.counted_from.apply(total);
      waiting->complete(metrics::outcome::ok, [&](resp::encoder& out) {
        out.verbatim(info_report(services, *sections, std::move(total), buses).text());
      });
    });
  };
  const std::string_view asked = question(*sections);
  // A request that is sent while EXEC collects would become a part of the transaction.
  if (asked.empty() || request.out.staged())
    return ask_workers(std::vector<bus_info>(services.buses.count()));
  bus_survey::start_info(services, asked, ask_workers);
}

}  // namespace dualbus::handler
