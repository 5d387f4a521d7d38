#include "secret_arguments.hpp"

#include <dualbus/base/c_string.hpp>

#include <algorithm>
#include <cstddef>
#include <string_view>

namespace dualbus::session {
namespace {

bool is(std::string_view word, std::string_view name) {
  return base::is_word(word, name);
}

bool is_secret_setting(std::string_view name) {
  constexpr std::string_view settings[] = {"masterauth", "masteruser", "requirepass",
                                           "tls-client-key-file-pass", "tls-key-file-pass"};
  return std::any_of(std::begin(settings), std::end(settings),
                     [name](std::string_view setting) { return is(name, setting); });
}

// Behind commands that only ask about another one (COMMAND GETKEYS, ACL DRYRUN) stands that other one: its
// index, 0 if there is none.
std::size_t inner_command(resp::arguments args) {
  if (args.size() > 2 && is(args[0], "command") && (is(args[1], "getkeys") || is(args[1], "getkeysandflags")))
    return 2;
  if (args.size() > 3 && is(args[0], "acl") && is(args[1], "dryrun")) return 3;
  return 0;
}

}  // namespace

std::vector<bool> secrets_in(resp::arguments args) {
  const std::size_t count = args.size();
  while (const std::size_t inner = inner_command(args)) args = args.subspan(inner);
  const std::size_t before = count - args.size();
  std::vector<bool> secret;
  const auto hide = [&](std::size_t from, std::size_t number) {
    secret.resize(count, false);
    for (std::size_t i = from; i < std::min(args.size(), from + number); ++i) secret[before + i] = true;
  };
  const std::string_view name = args[0];
  if (is(name, "auth")) {
    hide(1, args.size());
  } else if (is(name, "hello")) {
    for (std::size_t i = 1; i < args.size(); ++i) {  // also where the version is missing
      if (is(args[i], "setname")) {
        ++i;  // a name may be any word
      } else if (is(args[i], "auth")) {
        hide(i + 1, 2);
        i += 2;
      }
    }
  } else if (is(name, "migrate")) {
    for (std::size_t i = 6; i < args.size() && !is(args[i], "keys"); ++i) {
      const std::size_t secrets = is(args[i], "auth") ? 1 : is(args[i], "auth2") ? 2 : 0;
      if (secrets > 0) hide(i + 1, secrets);
      i += secrets;
    }
  } else if (args.size() > 1 && is(name, "acl") && is(args[1], "setuser")) {
    hide(2, args.size());
  } else if (args.size() > 1 && is(name, "config") && is(args[1], "set")) {
    for (std::size_t i = 2; i < args.size(); i += 2) {
      if (is_secret_setting(args[i])) hide(i + 1, 1);
    }
  }
  return secret;
}

}  // namespace dualbus::session
