#include "keyspace_figures.hpp"

#include <dualbus/base/numbers.hpp>
#include <dualbus/operation/bus_info.hpp>

#include <algorithm>
#include <cstdint>

namespace dualbus::handler {
namespace {

// The field that counts the keys of an average: avg_ttl is over those that expire; other averages are taken
// to be over all keys.
std::string_view weight_of(std::string_view average) {
  return average == "avg_ttl" ? "expires" : "keys";
}

bool is_average(std::string_view name) {
  return name.starts_with("avg_");
}

}  // namespace

keyspace_figures::field& keyspace_figures::field_of(std::vector<field>& fields, std::string_view name) {
  const auto found =
      std::find_if(fields.begin(), fields.end(), [&](const field& f) { return f.name == name; });
  return found != fields.end() ? *found : fields.emplace_back(field{std::string(name)});
}

void keyspace_figures::add(std::string_view info, int first, int databases) {
  bus_info::for_each(info, [&](std::string_view name, std::string_view fields) {
    if (!name.starts_with("db")) return;
    const auto number = base::parse_int64(name.substr(2));
    if (!number || *number < first || *number >= first + databases) return;
    std::vector<field>& known = databases_[static_cast<int>(*number - first)];
    for (const std::string_view always : {"keys", "expires", "avg_ttl"}) field_of(known, always);
    bus_info::for_each_part(fields, [&](std::string_view part, std::uint64_t value) {
      field& of = field_of(known, part);
      if (is_average(part)) {
        const auto weight = static_cast<double>(bus_info::number(fields, weight_of(part)));
        of.weighted += weight * static_cast<double>(value);
      } else {
        of.sum += value;
      }
    });
  });
}

std::string keyspace_figures::section() const {
  std::string text = "# Keyspace\r\n";
  for (const auto& [number, fields] : databases_) {
    std::string values;
    for (const field& of : fields) {
      std::uint64_t value = of.sum;
      if (is_average(of.name)) {
        const auto weight = std::find_if(fields.begin(), fields.end(),
                                         [&](const field& f) { return f.name == weight_of(of.name); });
        value =
            weight->sum == 0 ? 0 : static_cast<std::uint64_t>(of.weighted / static_cast<double>(weight->sum));
      }
      values += (values.empty() ? ":" : ",") + of.name + "=" + std::to_string(value);
    }
    text += "db" + std::to_string(number) + values + "\r\n";
  }
  return text;
}

}  // namespace dualbus::handler
