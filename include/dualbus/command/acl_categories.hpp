#pragma once

#include <dualbus/command/command_table.hpp>
#include <dualbus/command/subcommand_table.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace dualbus::command {

/// A set of ACL categories: bit i stands for acl_category_names()[i].
using acl_categories = std::uint32_t;

/// The names without '@', in the order of Redis's ACL CAT, which is also that of COMMAND INFO.
std::span<const std::string_view> acl_category_names();
/// The category of that name in any case, as a set of one; 0 if there is none.
acl_categories find_acl_category(std::string_view name);
/// "@read", "@string", …
std::vector<std::string> names_of(acl_categories set);

/// The categories, derived as Redis does (server.c, setImplicitACLCategories): the flags w and r give write
/// and read, except to scripts; a gives admin and dangerous, p pubsub, b blocking, F fast, and commands that
/// are not fast are slow. The rest comes from the command's group, and from a list of exceptions where
/// Redis's files say otherwise.
acl_categories categories_of(const command_spec& spec);

/// A subcommand has its own categories; those of its command do not count.
acl_categories categories_of(const subcommand_spec& spec);

}  // namespace dualbus::command
