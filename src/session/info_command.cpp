#include <dualbus/base/numbers.hpp>
#include <dualbus/base/version.hpp>
#include <dualbus/command/command_table.hpp>
#include <dualbus/session/keyspace_survey.hpp>
#include <dualbus/session/local_commands.hpp>
#include <dualbus/session/session.hpp>
#include <dualbus/session/worker_context.hpp>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <sys/resource.h>
#include <unistd.h>
#include <vector>

// INFO: the daemon's own values in the sections where tools look for them, and a section about the buses.
namespace dualbus::session {
namespace {

using outcomes = std::array<std::uint64_t, metrics::outcome_count>;

// The sums over all workers; each adds its own, one after the other.
struct counts {
  std::mutex mutex;
  std::uint64_t clients = 0, blocked = 0, accepted = 0, rejected = 0, requests = 0, received = 0, sent = 0;
  std::uint64_t unknown = 0, authentication_failures = 0, permission_denials = 0;
  std::vector<outcomes> commands = std::vector<outcomes>(command::command_table().size());

  void add(const worker_context& worker);
  outcomes all_commands() const;
};

void counts::add(const worker_context& worker) {
  const std::lock_guard lock(mutex);
  const metrics::worker_metrics& m = worker.metrics;
  clients += worker.clients.size();
  worker.clients.for_each([this](const session& s) { blocked += s.blocked() ? 1 : 0; });
  accepted += m.clients_accepted;
  rejected += m.clients_rejected;
  requests += m.requests();
  received += m.received_bytes;
  sent += m.sent_bytes;
  unknown += m.unknown_commands;
  authentication_failures += m.authentication_failures;
  permission_denials += m.permission_denials;
  for (std::size_t i = 0; i < commands.size(); ++i) {
    for (std::size_t o = 0; o < metrics::outcome_count; ++o) commands[i][o] += m.commands[i][o];
  }
}

outcomes counts::all_commands() const {
  outcomes sum{};
  for (const outcomes& one : commands) {
    for (std::size_t o = 0; o < sum.size(); ++o) sum[o] += one[o];
  }
  return sum;
}

std::uint64_t of(const outcomes& counted, metrics::outcome which) {
  return counted[static_cast<std::size_t>(which)];
}

// Of /proc/self/status, in bytes; 0 if it is not there.
std::uint64_t memory_figure(std::string_view name) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(name)) return std::strtoull(line.c_str() + name.size(), nullptr, 10) * 1024;
  }
  return 0;
}

// As Redis writes amounts for people (util.c, bytesToHuman).
std::string human(std::uint64_t bytes) {
  constexpr std::string_view units = "BKMGT";
  auto amount = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; amount >= 1024 && unit + 1 < units.size(); ++unit) amount /= 1024;
  return unit == 0 ? fmt::format("{}B", bytes) : fmt::format("{:.2f}{}", amount, units[unit]);
}

double to_seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

std::string server_section(const worker_context& c) {
  using namespace std::chrono;
  const auto uptime = duration_cast<seconds>(system_clock::now() - c.daemon.started).count();
  return fmt::format(
      "# "
      "Server\r\nredis_version:{}\r\nredis_git_sha1:00000000\r\nredis_mode:standalone\r\nos:Linux\r\narch_"
      "bits:64\r\n"
      "multiplexing_api:epoll\r\nprocess_id:{}\r\nrun_id:{}\r\ntcp_port:{}\r\nuptime_in_seconds:{}\r\n"
      "uptime_in_days:{}\r\ndualbus_version:{}\r\ndualbus_workers:{}\r\n",
      c.redis_version(), ::getpid(), c.daemon.run_id, c.configuration().listen.port, uptime, uptime / 86400,
      base::version, c.configuration().workers);
}

std::string buses_section(worker_context& c) {
  std::string text = "# Buses\r\n";
  for (std::size_t i = 0; i < c.bus_count(); ++i) {
    const auto bus = static_cast<command::bus_index>(i);
    text += fmt::format("bus_{}:endpoint={},id_slot={},state={},connected={},redis_version={}\r\n",
                        c.bus_name(bus), c.configuration().buses[i].endpoint, c.slot_of(bus),
                        c.configuration().routing.buses[i].draining ? "draining" : "active",
                        c.bus(bus).up() ? 1 : 0, c.bus(bus).redis_version());
  }
  return text;
}

std::string memory_section() {
  const std::uint64_t resident = memory_figure("VmRSS:"), peak = memory_figure("VmHWM:");
  const std::uint64_t machine = static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
                                static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  return fmt::format(
      "# "
      "Memory\r\nused_memory:{0}\r\nused_memory_human:{1}\r\nused_memory_rss:{0}\r\nused_memory_rss_human:{1}"
      "\r\n"
      "used_memory_peak:{2}\r\nused_memory_peak_human:{3}\r\ntotal_system_memory:{4}\r\n"
      "total_system_memory_human:{5}\r\nmaxmemory:0\r\nmaxmemory_human:0B\r\nmaxmemory_policy:noeviction\r\n",
      resident, human(resident), peak, human(peak), machine, human(machine));
}

std::string stats_section(worker_context& context, const counts& total) {
  const outcomes all = total.all_commands();
  std::uint64_t errors = total.unknown;
  for (std::size_t o = 1; o < all.size(); ++o) errors += all[o];
  return fmt::format(
      "# "
      "Stats\r\ntotal_connections_received:{}\r\ntotal_commands_processed:{}\r\ntotal_net_input_bytes:{}\r\n"
      "total_net_output_bytes:{}\r\nrejected_connections:{}\r\ntotal_error_replies:{}\r\n"
      "acl_access_denied_auth:{}\r\npubsub_channels:{}\r\npubsub_patterns:{}\r\npubsubshard_channels:{}\r\n",
      total.accepted, total.requests, total.received, total.sent, total.rejected, errors,
      total.authentication_failures, context.daemon.subscriptions.names(backend::subscription::channel),
      context.daemon.subscriptions.names(backend::subscription::pattern),
      context.daemon.subscriptions.names(backend::subscription::shard));
}

// How long a command took is not counted by command: usec is there for those who expect the field.
std::string command_section(const counts& total) {
  using enum metrics::outcome;
  std::string text = "# Commandstats\r\n";
  for (std::size_t i = 0; i < total.commands.size(); ++i) {
    const outcomes& c = total.commands[i];
    const std::uint64_t calls = of(c, ok) + of(c, redis_error);
    const std::uint64_t rejected = of(c, refused) + of(c, bus_down);
    const std::uint64_t failed = of(c, redis_error) + of(c, bus_lost) + of(c, bus_timeout);
    if (calls + rejected + failed == 0) continue;
    text += fmt::format("cmdstat_{}:calls={},usec=0,usec_per_call=0.00,rejected_calls={},failed_calls={}\r\n",
                        command::command_table()[i].name, calls + of(c, bus_lost) + of(c, bus_timeout),
                        rejected, failed);
  }
  return text;
}

// Of the errors of the daemon's own; those of buses stand in their own INFO.
std::string error_section(const counts& total) {
  const outcomes all = total.all_commands();
  std::string text = "# Errorstats\r\n";
  const auto add = [&text](std::string_view name, std::uint64_t count) {
    if (count > 0) text += fmt::format("errorstat_{}:count={}\r\n", name, count);
  };
  add("BUSDOWN", of(all, metrics::outcome::bus_down));
  add("BUSLOST", of(all, metrics::outcome::bus_lost));
  add("BUSTIMEOUT", of(all, metrics::outcome::bus_timeout));
  add("NOPERM", total.permission_denials);
  add("WRONGPASS", total.authentication_failures);
  return text;
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

// What Redis shows without a section named, with `all`, with `everything`, and with its name.
bool wants(const std::vector<std::string>& sections, std::string_view name, shown when) {
  if (sections.empty()) return when == shown::by_default;
  return std::any_of(sections.begin(), sections.end(), [&](const std::string& section) {
    if (section == "default") return when == shown::by_default;
    return section == "all" || section == "everything" || section == name;
  });
}

std::string compose(worker_context& context, const std::vector<std::string>& sections, const counts& total,
                    const std::string& keyspace) {
  std::string text;
  const auto add = [&](std::string_view name, auto&& make, shown when = shown::by_default) {
    if (wants(sections, name, when)) text += (text.empty() ? "" : "\r\n") + make();
  };
  const auto fixed = [](std::string_view section) { return [section] { return std::string(section); }; };
  add("server", [&] { return server_section(context); });
  add("clients", [&] {
    return fmt::format(
        "# "
        "Clients\r\nconnected_clients:{}\r\ncluster_connections:0\r\nmaxclients:{}\r\nblocked_clients:{}\r\n"
        "tracking_clients:0\r\n",
        total.clients, context.configuration().limits.max_clients, total.blocked);
  });
  add("memory", memory_section);
  add("persistence", fixed("# Persistence\r\nloading:0\r\nasync_loading:0\r\nrdb_bgsave_in_progress:0\r\n"
                           "aof_enabled:0\r\naof_rewrite_in_progress:0\r\n"));
  add("stats", [&] { return stats_section(context, total); });
  add("replication", fixed("# Replication\r\nrole:master\r\nconnected_slaves:0\r\n"
                           "master_failover_state:no-failover\r\nmaster_repl_offset:0\r\n"));
  add("cpu", cpu_section);
  add("modules", fixed("# Modules\r\n"));
  add(
      "commandstats", [&] { return command_section(total); }, shown::in_all);
  add("errorstats", [&] { return error_section(total); });
  add("latencystats", fixed("# Latencystats\r\n"), shown::in_all);
  add("cluster", fixed("# Cluster\r\ncluster_enabled:0\r\n"));
  add("keyspace", fixed(keyspace));
  add("buses", [&] { return buses_section(context); });
  return text;
}

}  // namespace

void run_info(worker_context& context, session& client, const request& what) {
  std::vector<std::string> sections;
  for (const std::string_view arg : what.args.subspan(1)) {
    std::string name(arg);
    for (char& c : name) c = base::to_lower(c);
    sections.push_back(std::move(name));
  }
  client.defer(what.command);
  auto total = std::make_shared<counts>();
  const auto ask_workers = [&context, sections, total, id = client.id()](const keyspace_figures& keys) {
    const auto question = [total](worker_context& worker) {
      total->add(worker);
      return std::string();
    };
    // At the daemon's end there may be nobody to ask any more.
    if (context.clients.find(id) == nullptr) return;
    context.ask_all(question, [&context, sections, total, keyspace = keys.section(),
                               id](const std::vector<std::string>&) {
      session* const waiting = context.clients.find(id);
      if (waiting == nullptr) return;
      waiting->complete(metrics::outcome::ok, [&](resp::encoder& out) {
        out.verbatim(compose(context, sections, *total, keyspace));
      });
    });
  };
  // What is sent while EXEC collects would become a part of the transaction.
  if (!wants(sections, "keyspace", shown::by_default) || context.transactions.playing())
    return ask_workers({});
  keyspace_survey::start(context, ask_workers);
}

}  // namespace dualbus::session
