#pragma once

#include <dualbus/base/clock.hpp>
#include <dualbus/metrics/histogram.hpp>
#include <dualbus/metrics/metric_description.hpp>

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <string_view>
#include <tuple>
#include <vector>

// Counters are plain fields of a struct. Next to each such struct there is one list with a row for every
// field; the sums over the workers, the page for Prometheus and the reference are made from these lists.
namespace dualbus::metrics {

template <typename Value>
void add(Value& sum, const Value& value) {
  sum += value;
}
inline void add(histogram& sum, const histogram& value) {
  sum.merge(value);
}
inline void add(base::time_point& sum, const base::time_point& value) {
  sum = std::max(sum, value);
}
template <typename Value, std::size_t Size>
void add(std::array<Value, Size>& sum, const std::array<Value, Size>& value) {
  for (std::size_t i = 0; i < Size; ++i) add(sum[i], value[i]);
}
template <typename Value>
void add(std::vector<Value>& sum, const std::vector<Value>& value) {
  if (sum.size() < value.size()) sum.resize(value.size());
  for (std::size_t i = 0; i < value.size(); ++i) add(sum[i], value[i]);
}

/// The label value of an array's element; empty for elements that are not shown. A single value has index 0.
using label_name = std::string_view (*)(std::size_t index);

/// The label value of an element that an enumerator stands for: `element_name<outcome, outcome_name>`.
template <typename Enum, std::string_view (*Name)(Enum)>
std::string_view element_name(std::size_t index) {
  return Name(static_cast<Enum>(index));
}

/// One field: its metric, and how the fields of two workers make one. The exporter makes the values of the
/// metric from a derived field in its own way; all other fields are shown as they are.
template <typename Owner, typename Value, bool Derived>
struct counter_row {
  Value Owner::*field;
  metric_description metric;  ///< without a name: the field has no metric of its own
  void (*add_up)(Value& sum, const Value& value);
  label_name label, inner_label;  ///< of the elements, and of their elements; null: the metric needs none
};

/// A field whose sum over the workers counts.
template <typename Owner, typename Value>
constexpr counter_row<Owner, Value, false> row(Value Owner::*field, metric_description metric,
                                               label_name label = nullptr, label_name inner_label = nullptr) {
  return {field, metric, add, label, inner_label};
}

/// A field that has the same value in all workers.
template <typename Owner, typename Value>
constexpr counter_row<Owner, Value, false> common_row(Value Owner::*field, metric_description metric) {
  const auto keep_larger = [](Value& sum, const Value& value) { sum = std::max(sum, value); };
  return {field, metric, keep_larger, nullptr, nullptr};
}

/// A field whose sum over the workers counts; the exporter makes the metric from it.
template <typename Owner, typename Value>
constexpr counter_row<Owner, Value, true> derived_row(Value Owner::*field, metric_description metric = {}) {
  return {field, metric, add, nullptr, nullptr};
}

/// Calls visitor(row) for each row of a list.
template <typename... Rows, typename Visitor>
constexpr void for_each_row(const std::tuple<Rows...>& rows, Visitor&& visitor) {
  std::apply([&visitor](const Rows&... each) { (visitor(each), ...); }, rows);
}

/// Adds a worker's fields to the sums, by the rows of their list.
template <typename Owner, typename... Rows>
void add_fields(const std::tuple<Rows...>& rows, Owner& sum, const Owner& worker) {
  for_each_row(rows, [&](const auto& each) { each.add_up(sum.*each.field, worker.*each.field); });
}

template <typename Owner, typename Value, bool Derived, typename Other>
constexpr bool is_row_of(const counter_row<Owner, Value, Derived>& row, Other Owner::*field) {
  if constexpr (std::same_as<Value, Other>) {
    return row.field == field;
  } else {
    return false;
  }
}

/// The metric of a field that has one.
template <typename Owner, typename Value, typename... Rows>
constexpr const metric_description& metric_of(const std::tuple<Rows...>& rows, Value Owner::*field) {
  const metric_description* found = nullptr;
  for_each_row(rows, [&](const auto& each) {
    if (is_row_of(each, field)) found = &each.metric;
  });
  return *found;
}

/// Whether each field of the struct has one row: no field stands in two rows, and together the fields are as
/// large as the struct, where they are aligned to eight bytes.
template <typename Owner, typename... Values, bool... Derived>
constexpr bool lists_every_field(const std::tuple<counter_row<Owner, Values, Derived>...>& rows) {
  constexpr std::size_t word = 8;
  constexpr std::size_t words = (((sizeof(Values) + word - 1) / word) + ...);
  bool distinct = true;
  for_each_row(rows, [&](const auto& row) {
    int count = 0;
    for_each_row(rows, [&](const auto& other) { count += is_row_of(other, row.field) ? 1 : 0; });
    distinct = distinct && count == 1;
  });
  return distinct && words * word == sizeof(Owner);
}

}  // namespace dualbus::metrics
