#include <dualbus/base/numbers.hpp>
#include <dualbus/base/version.hpp>
#include <dualbus/command/command_table.hpp>
#include <dualbus/session/bus_survey.hpp>
#include <dualbus/session/daemon_counts.hpp>
#include <dualbus/session/info_sections.hpp>
#include <dualbus/session/keyspace_figures.hpp>
#include <dualbus/session/local_commands.hpp>
#include <dualbus/session/session.hpp>
#include <dualbus/session/worker_context.hpp>

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

// INFO: the daemon's own values in the sections where tools look for them, and a section about the buses.
namespace dualbus::session {
namespace {

// Of /proc/self/status, in bytes; 0 if it is not there.
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

std::string server_section(const worker_context& c, const bus_info& default_bus) {
  std::string software;
  for (const auto& [field, value] : software_of(c.identity(), default_bus))
    software += fmt::format("{}:{}\r\n", field, value);
  // Valkey has another word for it.
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

std::string buses_section(worker_context& c, const std::vector<bus_info>& buses) {
  std::string text = "# Buses\r\n";
  for (std::size_t i = 0; i < c.bus_count(); ++i) {
    const auto bus = static_cast<command::bus_index>(i);
    std::string software;
    for (const auto& [field, value] : software_of(c.bus(bus).identity(), buses[i]))
      software += fmt::format(",{}={}", field, value);
    text += fmt::format("bus_{}:endpoint={},id_slot={},state={},connected={}{}\r\n", c.bus_name(bus),
                        c.configuration().buses[i].endpoint, c.slot_of(bus),
                        c.configuration().routing.buses[i].draining ? "draining" : "active",
                        c.bus(bus).up() ? 1 : 0, software);
  }
  return text;
}

std::string stats_section(worker_context& context, const daemon_counts& total, const error_totals& errors) {
  return fmt::format(
      "# "
      "Stats\r\ntotal_connections_received:{}\r\ntotal_commands_processed:{}\r\ntotal_net_input_bytes:{}\r\n"
      "total_net_output_bytes:{}\r\nrejected_connections:{}\r\ntotal_error_replies:{}\r\n"
      "acl_access_denied_auth:{}\r\npubsub_channels:{}\r\npubsub_patterns:{}\r\npubsubshard_channels:{}\r\n",
      total.accepted, total.requests, total.received, total.sent, total.rejected, errors.sum(),
      total.authentication_failures, context.daemon.subscriptions.names(backend::subscription::channel),
      context.daemon.subscriptions.names(backend::subscription::pattern),
      context.daemon.subscriptions.names(backend::subscription::shard));
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
  info_report(worker_context& context, const std::vector<std::string>& sections, daemon_counts total,
              const std::vector<bus_info>& buses)
      : context_(context), sections_(sections), total_(std::move(total)), buses_(buses) {
    const bool passed = context.configuration().routing.server_commands == command::server_commands::passed;
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

  worker_context& context_;
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
      total_.clients, context_.configuration().limits.max_clients, total_.blocked);
}

std::string info_report::keyspace_section() const {
  const config::configuration& c = context_.configuration();
  keyspace_figures figures;
  for (std::size_t i = 0; i < buses_.size(); ++i)
    figures.add(buses_[i].section("keyspace"), c.buses[i].database, c.databases);
  return figures.section();
}

std::string info_report::text() {
  const bus_info& default_bus = buses_[context_.configuration().routing.default_bus];
  add("server", with_bus("Server", server_section(context_, default_bus)));
  add("clients", with_bus("Clients", clients_section()));
  add("memory", of_bus("Memory", memory_section({memory_figure("VmRSS:"), memory_figure("VmHWM:")}, buses_)));
  add("persistence", of_bus("Persistence", persistence_section(buses_)));
  const error_totals errors(total_, buses_);
  const std::string stats = stats_section(context_, total_, errors);
  add("stats", alone_ != nullptr ? with_bus("Stats", stats) : stats + summed_stats(buses_));
  add("replication", of_bus("Replication", replication_section(buses_)));
  add("cpu", cpu_section());
  add("modules", of_bus("Modules", "# Modules\r\n"));
  add("commandstats", commandstats_section(total_, buses_, alone_), shown::in_all);
  add("errorstats", errors.section());
  add("latencystats", of_bus("Latencystats", "# Latencystats\r\n"), shown::in_all);
  add("cluster", "# Cluster\r\ncluster_enabled:0\r\n");
  add("keyspace", keyspace_section());
  add("buses", buses_section(context_, buses_));
  for (std::size_t i = 0; alone_ == nullptr && i < buses_.size(); ++i) {
    const std::string& name = context_.bus_name(static_cast<command::bus_index>(i));
    const std::string section = "bus_" + name;
    if (wants(sections_, "buses", shown::by_default) || wants(sections_, section, shown::by_default)) {
      text_ += (text_.empty() ? "" : "\r\n") + bus_section(name, buses_[i]);
    }
  }
  return std::move(text_);
}

// The section to ask the buses for, so that `sections` can be answered; empty if they need not be asked.
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

void run_info(worker_context& context, session& client, const request& what) {
  const auto sections = std::make_shared<std::vector<std::string>>();
  for (const std::string_view arg : what.args.subspan(1)) {
    std::string name(arg);
    for (char& c : name) c = base::to_lower(c);
    sections->push_back(std::move(name));
  }
  client.defer(what.command);
  const auto ask_workers = [&context, sections, id = client.id()](const std::vector<bus_info>& buses) {
    // At the daemon's end there may be nobody to ask any more.
    if (context.clients.find(id) == nullptr) return;
    collect_counts(context, [&context, sections, buses, id](const daemon_counts& all) {
      session* const waiting = context.clients.find(id);
      if (waiting == nullptr) return;
      daemon_counts total = all;
      context.daemon.counted_from.apply(total);
      waiting->complete(metrics::outcome::ok, [&](resp::encoder& out) {
        out.verbatim(info_report(context, *sections, std::move(total), buses).text());
      });
    });
  };
  const std::string_view asked = question(*sections);
  // A request that is sent while EXEC collects would become a part of the transaction.
  if (asked.empty() || context.transactions.playing())
    return ask_workers(std::vector<bus_info>(context.bus_count()));
  bus_survey::start_info(context, asked, ask_workers);
}

}  // namespace dualbus::session
