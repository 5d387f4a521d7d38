#pragma once

#include <dualbus/command/command_table.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace dualbus::command {

/// One subcommand: the facts are Redis's own, as those in command_table() are.
struct subcommand_spec {
  std::string_view command, name;  ///< lower case
  std::int16_t arity;              ///< with both names; negative: at least that many
  std::string_view flags;          ///< one letter each, see command_flags()
  fact facts = fact::none;         ///< besides those of the command, which has fact::by_subcommand then
};

/// All subcommands; those of one command stand together.
std::span<const subcommand_spec> subcommand_table();
/// The subcommands of one command; empty if it has none.
std::span<const subcommand_spec> subcommands_of(const command_spec& command);

/// True if argument 2 is a key.
bool takes_key(const subcommand_spec& spec);

/// Whether the command, an index in command_table(), has subcommands.
bool has_subcommands(std::size_t command);

/// Index in subcommand_table(); -1 if the command has none of that name.
int find_subcommand(std::size_t command, std::string_view name);

}  // namespace dualbus::command
