#include "figure_merge.hpp"

#include <dualbus/base/numbers.hpp>

#include <algorithm>
#include <vector>

namespace dualbus::handler {
namespace {

std::optional<std::string> merge_numbers(merging how, const std::vector<std::uint64_t>& numbers) {
  if (numbers.empty()) return std::nullopt;
  std::uint64_t sum = 0;
  for (const std::uint64_t number : numbers) sum += number;
  const auto [smallest, largest] = std::minmax_element(numbers.begin(), numbers.end());
  switch (how) {
    case merging::largest:
      return std::to_string(*largest);
    case merging::smallest:
      return std::to_string(*smallest);
    case merging::limit:
      if (*smallest == 0 && *largest > 0) return std::nullopt;
      return std::to_string(sum);
    default:
      return std::to_string(sum);
  }
}

int danger_of(std::string_view policy) {
  if (policy.starts_with("allkeys")) return 2;
  return policy == "noeviction" ? 0 : 1;
}

bool is_good(std::string_view value) {
  return value == "ok" || value == "yes" || value == "up";
}

}  // namespace

std::optional<std::string> merge(merging how, std::span<const std::string_view> values) {
  if (values.empty()) return std::nullopt;
  const auto first_where = [&](auto&& wanted) {
    const auto found = std::find_if(values.begin(), values.end(), wanted);
    return std::string(found == values.end() ? values.front() : *found);
  };
  switch (how) {
    case merging::policy:
      return std::string(*std::max_element(values.begin(), values.end(),
                                           [](auto a, auto b) { return danger_of(a) < danger_of(b); }));
    case merging::worst:
      return first_where([](std::string_view value) { return !is_good(value); });
    case merging::role:
      return first_where([](std::string_view value) { return value != "master"; });
    case merging::same:
      if (std::any_of(values.begin(), values.end(),
                      [&](std::string_view value) { return value != values.front(); }))
        return std::nullopt;
      return std::string(values.front());
    default:
      break;
  }
  std::vector<std::uint64_t> numbers;
  for (const std::string_view value : values) {
    if (const auto number = base::parse_uint64(value)) numbers.push_back(*number);
  }
  return merge_numbers(how, numbers);
}

}  // namespace dualbus::handler
