#include "secret_arguments.hpp"

#include <dualbus/base/numbers.hpp>

#include <algorithm>
#include <cstddef>
#include <string_view>

namespace dualbus::session {
namespace {

bool is(std::string_view word, std::string_view name) {
  return base::equals_ignoring_case(word, name);
}

bool is_secret_setting(std::string_view name) {
  constexpr std::string_view settings[] = {"masterauth", "masteruser", "requirepass",
                                           "tls-client-key-file-pass", "tls-key-file-pass"};
  return std::any_of(std::begin(settings), std::end(settings),
                     [name](std::string_view setting) { return is(name, setting); });
}

}  // namespace

std::vector<bool> secrets_in(resp::arguments args) {
  std::vector<bool> secret;
  const auto hide = [&](std::size_t from, std::size_t count) {
    secret.resize(args.size(), false);
    for (std::size_t i = from; i < std::min(args.size(), from + count); ++i) secret[i] = true;
  };
  const std::string_view name = args[0];
  if (is(name, "auth")) {
    hide(1, args.size());
  } else if (is(name, "hello")) {
    for (std::size_t i = 2; i < args.size(); ++i) {
      if (is(args[i], "setname")) {
        ++i;  // a name may be any word
      } else if (is(args[i], "auth")) {
        hide(i + 1, 2);
        i += 2;
      }
    }
  } else if (is(name, "migrate")) {
    for (std::size_t i = 6; i < args.size() && !is(args[i], "keys"); ++i) {
      const std::size_t count = is(args[i], "auth") ? 1 : is(args[i], "auth2") ? 2 : 0;
      if (count > 0) hide(i + 1, count);
      i += count;
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
