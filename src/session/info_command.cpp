#include <dualbus/base/numbers.hpp>
#include <dualbus/base/version.hpp>
#include <dualbus/session/local_commands.hpp>
#include <dualbus/session/session.hpp>
#include <dualbus/session/worker_context.hpp>

#include <fstream>
#include <sstream>
#include <string>
#include <sys/resource.h>
#include <unistd.h>
#include <vector>

// INFO: the daemon's own values in the sections where tools look for them, and a section about the buses.
namespace dualbus::session {
namespace {

// What one worker adds to the sums, as text between threads.
std::string own_counts(worker_context& worker) {
  std::uint64_t blocked = 0;
  worker.clients.for_each([&blocked](const session& s) { blocked += s.blocked() ? 1 : 0; });
  return fmt::format("{} {} {} {} {} {} {}", worker.clients.size(), blocked, worker.metrics.clients_accepted,
                     worker.metrics.clients_rejected, worker.metrics.requests(),
                     worker.metrics.received_bytes, worker.metrics.sent_bytes);
}

struct counts {
  std::uint64_t clients = 0, blocked = 0, accepted = 0, rejected = 0, requests = 0, received = 0, sent = 0;
};

counts sum(const std::vector<std::string>& answers) {
  counts total;
  for (const std::string& text : answers) {
    counts c;
    std::istringstream(text) >> c.clients >> c.blocked >> c.accepted >> c.rejected >> c.requests >>
        c.received >> c.sent;
    total.clients += c.clients;
    total.blocked += c.blocked;
    total.accepted += c.accepted;
    total.rejected += c.rejected;
    total.requests += c.requests;
    total.received += c.received;
    total.sent += c.sent;
  }
  return total;
}

std::uint64_t resident_bytes() {
  std::uint64_t pages = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
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

bool wants(const std::vector<std::string>& sections, std::string_view name) {
  if (sections.empty()) return true;
  for (const std::string& section : sections) {
    if (section == name || section == "all" || section == "everything" || section == "default") return true;
  }
  return false;
}

std::string compose(worker_context& context, const std::vector<std::string>& sections, const counts& total) {
  std::vector<std::string> parts;
  const auto add = [&](std::string_view name, auto&& make) {
    if (wants(sections, name)) parts.push_back(make());
  };
  add("server", [&] { return server_section(context); });
  add("clients", [&] {
    return fmt::format("# Clients\r\nconnected_clients:{}\r\nmaxclients:{}\r\nblocked_clients:{}\r\n",
                       total.clients, context.configuration().limits.max_clients, total.blocked);
  });
  add("memory", [&] {
    return fmt::format("# Memory\r\nused_memory:{0}\r\nused_memory_rss:{0}\r\nmaxmemory:0\r\n",
                       resident_bytes());
  });
  add("persistence", [] { return std::string("# Persistence\r\nloading:0\r\nasync_loading:0\r\n"); });
  add("stats", [&] {
    return fmt::format(
        "# "
        "Stats\r\ntotal_connections_received:{}\r\ntotal_commands_processed:{}\r\ntotal_net_input_bytes:{}"
        "\r\n"
        "total_net_output_bytes:{}\r\nrejected_connections:{}\r\n",
        total.accepted, total.requests, total.received, total.sent, total.rejected);
  });
  add("replication", [] { return std::string("# Replication\r\nrole:master\r\nconnected_slaves:0\r\n"); });
  add("cpu", [] {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return fmt::format("# CPU\r\nused_cpu_sys:{:.6f}\r\nused_cpu_user:{:.6f}\r\n", to_seconds(usage.ru_stime),
                       to_seconds(usage.ru_utime));
  });
  add("cluster", [] { return std::string("# Cluster\r\ncluster_enabled:0\r\n"); });
  add("buses", [&] { return buses_section(context); });
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : "\r\n") + part;
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
  context.ask_all(own_counts, [&context, sections, id = client.id()](std::vector<std::string> answers) {
    session* const waiting = context.clients.find(id);
    if (waiting == nullptr) return;
    waiting->complete(metrics::outcome::ok,
                      [&](resp::encoder& out) { out.verbatim(compose(context, sections, sum(answers))); });
  });
}

}  // namespace dualbus::session
