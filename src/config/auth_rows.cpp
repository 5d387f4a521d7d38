#include "bindings.hpp"
#include "key_rows.hpp"

#include <string>
#include <utility>

namespace dualbus::config {
namespace {

using enum value_type;

// All users can change at run time, so nobody fetches them to compare.
template <auto Member>
constexpr binding of_user() {
  return {[](draft& d, place at, value&& v) { assign(d.config.auth.users[at.index].*Member, std::move(v)); },
          nullptr};
}

constexpr std::int64_t max_pattern = 1024;

constexpr key_row rows[] = {
    {.path = "auth.allow_unauthenticated",
     .type = choice,
     .reload = true,
     .choices = "false|true",
     .fallback = "false",
     .meaning =
         "Without users the daemon starts only if `listen.address` is a loopback address, because everybody "
         "who reaches it may use every bus. `true` says that this is meant.",
     .bind = in<&configuration::auth, &auth_settings::allow_unauthenticated>()},
    {.path = "auth.users.*.enabled",
     .type = choice,
     .reload = true,
     .choices = "false|true",
     .fallback = "true",
     .meaning = "`false` keeps the user from logging in; a reload closes the connections it has.",
     .bind = of_user<&user_settings::enabled>()},
    {.path = "auth.users.*.nopass",
     .type = choice,
     .reload = true,
     .choices = "false|true",
     .fallback = "false",
     .meaning =
         "`true` lets the user in with any password. For the user `default` it means that clients need "
         "not log in.",
     .bind = of_user<&user_settings::no_password>()},
    {.path = "auth.users.*.password_hashes",
     .type = text_list,
     .reload = true,
     .range = {1, 65},
     .fallback_note = "`[]`",
     .meaning =
         "The SHA-256 of each password that the user may log in with, as 64 hexadecimal digits in lower "
         "case, with or without Redis's `#` before them: `printf %s secret | sha256sum` prints it.",
     .bind = of_user<&user_settings::password_hashes>()},
    {.path = "auth.users.*.password_file",
     .reload = true,
     .range = {0, 4095},
     .fallback_note = "none",
     .meaning =
         "A file that holds one more password and nothing else; line ends behind it do not count. A relative "
         "path starts from the directory of the configuration file. It is read whenever the configuration "
         "is. A file that everybody may read is accepted with a warning.",
     .bind = of_user<&user_settings::password_file>()},
    {.path = "auth.users.*.password_env",
     .reload = true,
     .range = {0, 1024},
     .fallback_note = "none",
     .meaning = "Instead of a file, the name of an environment variable that holds the password.",
     .bind = of_user<&user_settings::password_env>()},
    {.path = "auth.users.*.commands",
     .type = text_list,
     .reload = true,
     .range = {1, 128},
     .fallback_note = "`[]`",
     .meaning = "The commands that the user may run, as in Redis's ACL: `+get`, `-config|set`, `+@read`, "
                "`-@dangerous`, `+@all`. The rules apply in their order, to nothing at first.",
     .bind = of_user<&user_settings::commands>()},
    {.path = "auth.users.*.keys",
     .type = text_list,
     .reload = true,
     .range = {1, max_pattern},
     .fallback_note = "`[]`",
     .meaning = "The keys that the user may name: patterns as in `KEYS`, without Redis's `~`.",
     .bind = of_user<&user_settings::keys>()},
    {.path = "auth.users.*.channels",
     .type = text_list,
     .reload = true,
     .range = {1, max_pattern},
     .fallback_note = "`[]`",
     .meaning = "The Pub/Sub channels that the user may name, without Redis's `&`. `PSUBSCRIBE` takes only a "
                "pattern that stands here letter by letter, unless `*` does.",
     .bind = of_user<&user_settings::channels>()},
    {.path = "auth.users.*.message_types",
     .type = text_list,
     .reload = true,
     .range = {1, max_name},
     .fallback_note = "`[\"*\"]`",
     .meaning =
         "The types of message that the user may publish with `XADD` and `PUBLISH`: names or patterns. A "
         "message without a type is for those with `*`.",
     .bind = of_user<&user_settings::message_types>()},
};

}  // namespace

std::span<const key_row> auth_rows() {
  return rows;
}

}  // namespace dualbus::config
