#pragma once

#include "key_table.hpp"
#include "report.hpp"
#include "table_reader.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace dualbus::config {

inline constexpr std::size_t max_buses = 16;
inline constexpr int max_slot = 127;
inline constexpr std::size_t max_bus_name = 32;
inline constexpr std::size_t max_password_bytes = 4096;
inline constexpr std::size_t max_user_name = 128;

/// Turns a draft into the finished configuration: resolves names of buses, reads passwords, and checks what
/// keys must fulfil together. Says nothing about keys that the reader has refused, so that one mistake is
/// reported once.
class assembler {
 public:
  /// All three outlive the assembler; relative password files start from `directory`.
  assembler(draft& from, const table_reader& places, report& findings, std::string directory);

  void run();

 private:
  void check_listeners();
  void check_buses();
  void check_retired_slots();
  void check_bus_name(const std::string& name);
  void check_own_address(std::size_t bus);
  void check_acknowledge(std::size_t bus);
  void check_form(std::size_t bus);
  void check_sentinels(std::size_t bus);
  void check_master_of_others(std::size_t bus);
  void read_bus_password(std::size_t bus);
  /// The password of the section `path`, from a file or the environment, whichever is named. Reports
  /// mistakes.
  std::optional<std::string> read_password(const std::string& path, const std::string& file,
                                           const std::string& variable);
  std::optional<std::string> password_from_file(const std::string& name, const std::string& key);
  std::optional<std::string> password_from_environment(const std::string& name, const std::string& key);
  void check_auth();
  void warn_of_open_doors();
  void check_user(user_settings& user);
  void check_hashes(user_settings& user, const std::string& path);
  void check_commands(const user_settings& user, const std::string& path);
  void check_patterns(const std::vector<std::string>& patterns, std::string_view marks,
                      const std::string& path);
  void check_backend();
  void resolve_default_buses_and_anchor();
  void resolve_types();
  void check_group_rules();
  void warn_of_rules_without_effect();
  void resolve_rules(const std::string& list, const std::string& names,
                     const std::vector<draft::key_rule>& rules, std::vector<command::match_rule>& resolved);

  /// The bus of that name. Reports an unknown name and returns nothing.
  std::optional<command::bus_index> bus_called(const std::string& name, std::string_view path, position at);
  std::optional<command::bus_index> active_bus_called(const std::string& name, const std::string& path);
  std::string bus_path(std::size_t bus, std::string_view key) const;
  void mistake(std::string_view path, std::string_view text) { report_.mistake(at_.where(path), path, text); }
  void warning(std::string_view path, std::string_view text) { report_.warning(at_.where(path), path, text); }

  draft& draft_;
  configuration& config_;
  const table_reader& at_;
  report& report_;
  std::string directory_;
  std::unordered_map<std::string, std::size_t> bus_of_name_;
};

}  // namespace dualbus::config
