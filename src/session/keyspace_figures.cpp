#include <dualbus/base/numbers.hpp>
#include <dualbus/session/bus_info.hpp>
#include <dualbus/session/keyspace_figures.hpp>

#include <cstdint>

namespace dualbus::session {

void keyspace_figures::add(std::string_view info, int first, int databases) {
  bus_info::for_each(info, [&](std::string_view name, std::string_view fields) {
    if (!name.starts_with("db")) return;
    const auto number = base::parse_int64(name.substr(2));
    if (!number || *number < first || *number >= first + databases) return;
    figures& sum = databases_[static_cast<int>(*number - first)];
    const std::uint64_t expires = bus_info::number(fields, "expires");
    sum.keys += bus_info::number(fields, "keys");
    sum.expires += expires;
    sum.summed_ttl += static_cast<double>(expires) * static_cast<double>(bus_info::number(fields, "avg_ttl"));
  });
}

std::string keyspace_figures::section() const {
  std::string text = "# Keyspace\r\n";
  for (const auto& [number, sum] : databases_) {
    const double average = sum.expires == 0 ? 0 : sum.summed_ttl / static_cast<double>(sum.expires);
    text += "db" + std::to_string(number) + ":keys=" + std::to_string(sum.keys) +
            ",expires=" + std::to_string(sum.expires) +
            ",avg_ttl=" + std::to_string(static_cast<std::uint64_t>(average)) + "\r\n";
  }
  return text;
}

}  // namespace dualbus::session
