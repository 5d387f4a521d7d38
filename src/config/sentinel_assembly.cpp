#include "assembler.hpp"
#include "values.hpp"

#include <algorithm>
#include <cstdlib>
#include <utility>

// The part of the assembler that is about the ways in which a bus says where its Redis is.
namespace dualbus::config {
namespace {

constexpr std::string_view forms[] = {"endpoint", "sentinel"};

bool share_a_sentinel(const sentinel_settings& a, const sentinel_settings& b) {
  return std::any_of(a.sentinels.begin(), a.sentinels.end(), [&](const server_address& one) {
    return std::any_of(b.sentinels.begin(), b.sentinels.end(), [&](const server_address& other) {
      return one.host == other.host && one.port == other.port && one.unix_socket == other.unix_socket;
    });
  });
}

}  // namespace

void assembler::check_form(std::size_t bus) {
  if (!at_.accepted(bus_path(bus, ""))) return;
  std::string_view first;
  for (const std::string_view form : forms) {
    const std::string path = bus_path(bus, form);
    if (!at_.accepted(path) && !at_.refused(path)) continue;
    if (first.empty()) {
      first = form;
    } else {
      mistake(path, "stands beside " + std::string(first) + "; give only one of them: either " +
                        "the address of the Redis, or the Sentinels that know it");
    }
  }
  if (first.empty()) mistake(bus_path(bus, "endpoint"), "is required, unless sentinel stands in its place");
}

void assembler::check_sentinels(std::size_t bus) {
  bus_settings& settings = config_.buses[bus];
  sentinel_settings& sentinel = settings.sentinel;
  const std::string path = bus_path(bus, "sentinel");
  const std::string list = path + ".sentinels";
  if (at_.accepted(list) && sentinel.sentinels.empty()) {
    mistake(list, "names no Sentinel; give the address of each, such as [\"10.0.0.1:26379\"]");
  }
  for (auto one = sentinel.sentinels.begin(); one != sentinel.sentinels.end(); ++one) {
    if (one->endpoint.empty() || std::find(sentinel.sentinels.begin(), one, *one) == one) continue;
    mistake(list + "[" + std::to_string(one - sentinel.sentinels.begin()) + "]",
            quoted(one->endpoint) + " stands there twice");
  }
  if (auto password = read_password(path, sentinel.password_file, sentinel.password_env)) {
    sentinel.password = std::move(*password);
  } else if (sentinel.password_file.empty() && sentinel.password_env.empty() && !sentinel.username.empty() &&
             !at_.refused(path + ".password_file") && !at_.refused(path + ".password_env")) {
    mistake(path + ".username", "needs a password_file or password_env");
  }
  if (!at_.accepted(path + ".master")) return;
  check_master_of_others(bus);
  if (!at_.accepted(bus_path(bus, "endpoint"))) settings.endpoint = "master " + quoted(sentinel.master);
}

// Names of masters are those of one set of Sentinels.
void assembler::check_master_of_others(std::size_t bus) {
  const bus_settings& settings = config_.buses[bus];
  for (std::size_t other = 0; other < bus; ++other) {
    const bus_settings& before = config_.buses[other];
    if (before.sentinel.master != settings.sentinel.master ||
        std::abs(settings.database - before.database) >= config_.databases ||
        !share_a_sentinel(before.sentinel, settings.sentinel)) {
      continue;
    }
    mistake(bus_path(bus, "sentinel") + ".master", quoted(settings.sentinel.master) + " is the master of " +
                                                       quoted(config_.routing.buses[other].name) +
                                                       " already");
  }
}

}  // namespace dualbus::config
