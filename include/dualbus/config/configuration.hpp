#pragma once

#include <dualbus/command/routing_table.hpp>
#include <dualbus/config/auth_settings.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace dualbus::config {

using milliseconds = std::chrono::milliseconds;
using microseconds = std::chrono::microseconds;
using seconds = std::chrono::seconds;

struct listen_settings {
  std::string address = "127.0.0.1";  ///< numeric
  std::uint16_t port = 6379;          ///< 0: no TCP listener
  std::string unix_socket;            ///< path; empty: none
  unsigned unix_socket_mode = 0700;
  int backlog = 511;
};

struct admin_settings {
  std::string address = "127.0.0.1";
  std::uint16_t port = 9121;       ///< 0: no admin listener
  std::vector<std::string> hosts;  ///< globs: further names by which clients may ask for it
};

/// The hand-over to a process that takes this one's place.
struct control_settings {
  std::string socket;                    ///< path; empty: none
  milliseconds handover_timeout{10000};  ///< for clients that cannot go at once
};

/// The servers that must have a write before its client is told that it is done: see
/// backend/durable_link.hpp. The message types that this is about stand in routing.buses.
struct acknowledge_settings {
  unsigned replicas = 0;     ///< so many of the bus's replicas
  unsigned local = 0;        ///< 1: also the AOF of the bus itself
  milliseconds timeout{50};  ///< for all of them together

  bool wanted() const { return replicas > 0 || local > 0; }
};

/// The place where a server listens.
struct server_address {
  std::string host;  ///< name or numeric address; empty for a Unix socket
  std::uint16_t port = 0;
  std::string unix_socket;  ///< path; empty for TCP
  std::string endpoint;     ///< as written, for messages

  bool operator==(const server_address&) const = default;
};

/// The Sentinels that know the server of a bus.
struct sentinel_settings {
  std::string master;                     ///< its name there; empty: the bus has none of this
  std::vector<server_address> sentinels;  ///< at least one
  std::string username, password;         ///< the Sentinels' own
  std::string password_file;  ///< where the password came from, as written; at most one of the two
  std::string password_env;
};

/// One backend. name, id_slot and state stand in routing.buses at the same index.
///
/// The address of a bus with Sentinels is not known when the file is read: host and unix_socket are empty,
/// and `endpoint` names the master, until set_address() says more.
struct bus_settings {
  std::string host;  ///< name or numeric address; empty for a Unix socket
  std::uint16_t port = 0;
  std::string unix_socket;  ///< path; empty for TCP
  std::string endpoint;     ///< as written, or the address of the present master, for messages
  sentinel_settings sentinel;
  std::string username, password;  ///< password is read from its file or environment when loaded
  std::string password_file;       ///< where the password came from, as written; at most one of the two
  std::string password_env;
  int database = 0;
  microseconds latency_target{0};  ///< 0: none
  microseconds coalesce{0};        ///< the least time between two writes on a shared connection
  acknowledge_settings acknowledge;

  /// True if Sentinels say where its server is, so that this changes while the daemon runs.
  bool has_sentinels() const { return !sentinel.master.empty(); }
  /// False until its Sentinels have named a server.
  bool has_address() const { return !host.empty() || !unix_socket.empty(); }
  void set_address(const server_address& address);
};

/// True if both name the same Redis and database.
bool same_place(const bus_settings& a, const bus_settings& b);

struct backend_settings {
  milliseconds connect_timeout{1000};
  milliseconds reconnect_wait{1000};            ///< the time that unsent requests wait for their bus
  std::size_t reconnect_wait_bytes = 64 << 20;  ///< the most bytes of such requests, per bus and worker
  milliseconds backoff_min{50};                 ///< delay before the second attempt; doubles, with jitter
  milliseconds backoff_max{2000};
  milliseconds resolve_interval{30000};    ///< from one look at where a bus's name leads to the next; 0: none
  milliseconds request_timeout{5000};      ///< for the answer to a sent request; 0: no limit
  milliseconds health_interval{1000};      ///< from one test (ECHO) of a connection to the next
  milliseconds health_timeout{10000};      ///< silence after which a connection is given up
  seconds keepalive{60};                   ///< TCP keepalive; 0: off
  std::size_t dedicated_connections = 64;  ///< per bus and worker, for requests that block
};

struct limit_settings {
  std::size_t memory = 0;  ///< bytes for all clients together; 0: a share of what the process may use
  std::size_t max_clients = 10000;
  std::size_t max_request = 64 << 20;            ///< bytes
  std::size_t client_output_buffer = 256 << 20;  ///< bytes; beyond it a client is cut off
  std::size_t pubsub_output_buffer = 32 << 20;   ///< the same for a client with subscriptions
  std::size_t client_in_flight = 10000;          ///< unanswered requests, beyond it a client is not read
  std::size_t bus_output_buffer = 16 << 20;      ///< unsent bytes per bus, beyond it writers are not read
  seconds idle_timeout{0};                       ///< 0: never
  seconds login_timeout{60};                     ///< until a client that must log in has done so; 0: no limit
  milliseconds login_delay{1000};                ///< the longest delay of a log-in after failed ones; 0: none
  seconds client_keepalive{300};                 ///< TCP keepalive; 0: off
  milliseconds max_block{0};             ///< the longest BLOCK of a stream read; 0: what the client asks
  milliseconds drain_delay{10000};       ///< from SIGUSR1 to the end of the listeners
  milliseconds shutdown_timeout{10000};  ///< for what is in flight when told to stop
};

/// The way in which the engine behind a connection is found, for metrics.
struct engine_settings {
  std::string field = "source_engine";  ///< of an XADD
  std::size_t max_names = 200;          ///< counted by name, per worker
};

/// The conditions under which a draining bus may be given up.
struct draining_settings {
  /// Groups of streams that nobody reads with any more.
  struct ignored_group {
    std::string key, group;  ///< exact names or globs; both must match
  };
  milliseconds interval{5000};  ///< from one check of its streams to the next
  milliseconds quiet{10000};    ///< without a new entry, before a stream counts as drained
  std::vector<ignored_group> ignore_groups;

  bool ignores(std::string_view key, std::string_view group) const;
};

enum class missing_group_action : std::uint8_t { error, create };

/// The effect of a read of a group that does not exist.
struct missing_group_settings {
  struct rule {
    std::string key = "*", group = "*";  ///< exact names or globs; the first rule that matches both decides
    missing_group_action action = missing_group_action::error;
    std::string start = "0";  ///< "0" or "$"
  };
  rule otherwise;  ///< when no rule matches
  std::vector<rule> rules;

  const rule& of(std::string_view key, std::string_view group) const;
  /// True if any group is ever created.
  bool creates() const;
};

enum class absorb_mode : std::uint8_t { relaxed, strict, off };

/// The group reads that are answered without a bus, and the time for which an answer of a bus counts.
struct absorb_settings {
  absorb_mode mode = absorb_mode::relaxed;
  milliseconds nil_ttl{1000};      ///< of an empty answer
  milliseconds no_group_ttl{200};  ///< of the answer NOGROUP
  microseconds delay{1000};        ///< for clients that ask again at once; 0: none
};

/// The requests that SLOWLOG keeps.
struct slowlog_settings {
  microseconds threshold{10'000};  ///< from its arrival to its answer; 0: all
  std::size_t max_entries = 128;   ///< per worker; 0: none are kept
  bool arguments = false;          ///< copies the arguments of every request, in case it turns out slow
};

/// The fate of a reload that would take entries of streams out of reach.
enum class stream_moves : std::uint8_t { refused, allowed };

/// The mark by which each bus bears its id_slot, so that no other bus is read into its IDs.
enum class slot_mark : std::uint8_t {
  none,
  function  ///< by the name of a library of functions
};

/// Everything the YAML file says, checked. Immutable once loaded.
struct configuration {
  listen_settings listen;
  admin_settings admin;
  control_settings control;
  auth_settings auth;
  unsigned workers = 1;
  int databases = 1;                ///< that clients can SELECT; 0 is the one that each bus names
  std::vector<bus_settings> buses;  ///< same order as routing.buses
  command::routing_rules routing;   ///< buses, anchor, types, keys
  backend_settings backend;
  limit_settings limits;
  engine_settings engines;
  missing_group_settings missing_group;
  absorb_settings absorb;
  draining_settings draining;
  slowlog_settings slowlog;
  std::string log_level = "info", log_format = "text";
  std::string log_file;  ///< in addition to standard error; empty: none
  stream_moves moves = stream_moves::refused;
  std::vector<std::string> retired_slots;  ///< id_slots of removed buses, as numbers; no bus may have them
  slot_mark marks = slot_mark::none;

  bool is_retired(int slot) const;
};

/// True if clients' connections to that address arrive at this daemon, as far as its configuration tells.
bool is_own_address(const configuration& c, const server_address& address);

}  // namespace dualbus::config
