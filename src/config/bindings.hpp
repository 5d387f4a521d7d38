#pragma once

#include "key_table.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

// Makes the bindings of key rows from pointers to members, so that a row says where its value lives and the
// conversion follows from the member's type.

namespace dualbus::config {

// For the ranges in rows.
inline constexpr std::int64_t ms = 1'000, s = 1'000 * ms, minute = 60 * s, hour = 60 * minute;
inline constexpr std::int64_t kb = 1 << 10, mb = 1 << 20, gb = 1 << 30;
inline constexpr std::int64_t max_keepalive = 32'767 * s;  // Linux takes no larger TCP_KEEPIDLE
inline constexpr std::int64_t max_name = 256;              // bytes of a field or message type

using command::bus_rules;
using command::routing_rules;

template <typename T>
inline constexpr bool is_duration = false;
template <typename Count, typename Period>
inline constexpr bool is_duration<std::chrono::duration<Count, Period>> = true;

template <typename T>
void assign(T& target, value&& v) {
  if constexpr (is_duration<T>) {
    target = std::chrono::duration_cast<T>(microseconds(v.number));
  } else if constexpr (std::is_same_v<T, std::string>) {
    target = std::move(v.text);
  } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
    target = std::move(v.list);
  } else {
    target = static_cast<T>(v.number);
  }
}

template <typename T>
value value_of(const T& source) {
  if constexpr (is_duration<T>) {
    return {.number = std::chrono::duration_cast<microseconds>(source).count(), .text = {}, .list = {}};
  } else if constexpr (std::is_same_v<T, std::string>) {
    return {.number = 0, .text = source, .list = {}};
  } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
    return {.number = 0, .text = {}, .list = source};
  } else {
    return {.number = static_cast<std::int64_t>(source), .text = {}, .list = {}};
  }
}

template <auto Member>
constexpr binding top() {
  return {[](draft& d, place, value&& v) { assign(d.config.*Member, std::move(v)); },
          [](const configuration& c, std::size_t) { return value_of(c.*Member); }};
}

template <auto Group, auto Member>
constexpr binding in() {
  return {[](draft& d, place, value&& v) { assign(d.config.*Group.*Member, std::move(v)); },
          [](const configuration& c, std::size_t) { return value_of(c.*Group.*Member); }};
}

template <auto Member>
constexpr binding of_bus() {
  return {[](draft& d, place at, value&& v) { assign(d.config.buses[at.index].*Member, std::move(v)); },
          [](const configuration& c, std::size_t bus) { return value_of(c.buses[bus].*Member); }};
}

template <auto Member>
constexpr binding of_bus_rules() {
  return {
      [](draft& d, place at, value&& v) { assign(d.config.routing.buses[at.index].*Member, std::move(v)); },
      [](const configuration& c, std::size_t bus) { return value_of(c.routing.buses[bus].*Member); }};
}

inline server_address address_of(std::string text) {
  endpoint where;
  parse_endpoint(text, where);
  return {std::move(where.host), where.port, std::move(where.unix_socket), std::move(text)};
}

inline void store_endpoint(draft& d, place at, value&& v) {
  d.config.buses[at.index].set_address(address_of(std::move(v.text)));
}

// Of a bus whose address Sentinels name, nothing is written here.
inline value fetch_endpoint(const configuration& c, std::size_t bus) {
  const bus_settings& settings = c.buses[bus];
  return value_of(settings.has_sentinels() ? std::string() : settings.endpoint);
}

// A part of what a bus says about its Sentinels.
template <auto Member>
constexpr binding of_sentinel() {
  return {
      [](draft& d, place at, value&& v) { assign(d.config.buses[at.index].sentinel.*Member, std::move(v)); },
      [](const configuration& c, std::size_t bus) { return value_of(c.buses[bus].sentinel.*Member); }};
}

inline void store_sentinels(draft& d, place at, value&& v) {
  for (std::string& text : v.list)
    d.config.buses[at.index].sentinel.sentinels.push_back(address_of(std::move(text)));
}

inline value fetch_sentinels(const configuration& c, std::size_t bus) {
  value written;
  for (const server_address& address : c.buses[bus].sentinel.sentinels)
    written.list.push_back(address.endpoint);
  return written;
}

// Anchors are compared by name: indexes of two configurations need not mean the same.
inline value fetch_anchor(const configuration& c, std::size_t) {
  return c.routing.buses.empty() ? value{} : value_of(c.routing.buses[c.routing.anchor].name);
}

}  // namespace dualbus::config
