#include <dualbus/base/c_string.hpp>
#include <dualbus/command/request_facts.hpp>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <string_view>

namespace dualbus::command {
namespace {

using base::is_word;

bool is_secret_parameter(std::string_view name) {
  constexpr std::string_view parameters[] = {"masterauth", "masteruser", "requirepass",
                                             "tls-client-key-file-pass", "tls-key-file-pass"};
  return std::any_of(std::begin(parameters), std::end(parameters),
                     [name](std::string_view parameter) { return is_word(name, parameter); });
}

// A name with a zero byte behind it is unknown, but its secrets are hidden nevertheless.
fact facts_of(resp::arguments args) {
  const int index = find_command(base::as_c_string(args[0]));
  return index < 0 ? fact::none : command::facts_of(command_table()[static_cast<std::size_t>(index)], args);
}

// The index of the request that this one only asks about; 0 if it asks about none.
std::size_t inner_request(resp::arguments args) {
  const fact facts = facts_of(args);
  const std::size_t at = has_fact(facts, fact::names_request)            ? 2
                         : has_fact(facts, fact::names_user_and_request) ? 3
                                                                         : 0;
  return at < args.size() ? at : 0;
}

}  // namespace

std::vector<bool> secrets_in(resp::arguments args) {
  const std::size_t count = args.size();
  while (const std::size_t inner = inner_request(args)) args = args.subspan(inner);
  const std::size_t before = count - args.size();
  std::vector<bool> secret;
  const auto hide = [&](std::size_t from, std::size_t number) {
    secret.resize(count, false);
    for (std::size_t i = from; i < std::min(args.size(), from + number); ++i) secret[before + i] = true;
  };
  const fact facts = facts_of(args);
  if (has_fact(facts, fact::logs_in)) {
    hide(1, args.size());
  } else if (has_fact(facts, fact::may_log_in)) {
    for (std::size_t i = 1; i < args.size(); ++i) {  // even if the version is missing
      if (is_word(args[i], "setname")) {
        ++i;  // a name may be any word
      } else if (is_word(args[i], "auth")) {
        hide(i + 1, 2);
        i += 2;
      }
    }
  } else if (has_fact(facts, fact::logs_in_elsewhere)) {
    for (std::size_t i = 6; i < args.size() && !is_word(args[i], "keys"); ++i) {
      const std::size_t secrets = is_word(args[i], "auth") ? 1 : is_word(args[i], "auth2") ? 2 : 0;
      if (secrets > 0) hide(i + 1, secrets);
      i += secrets;
    }
  } else if (has_fact(facts, fact::sets_user)) {
    hide(2, args.size());
  } else if (has_fact(facts, fact::sets_parameters)) {
    for (std::size_t i = 2; i < args.size(); i += 2) {
      if (is_secret_parameter(args[i])) hide(i + 1, 1);
    }
  }
  return secret;
}

}  // namespace dualbus::command
