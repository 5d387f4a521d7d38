#include <dualbus/base/c_string.hpp>
#include <dualbus/command/key_writes.hpp>

#include <algorithm>
#include <string_view>

namespace dualbus::command {

bool changes_keys(const command_spec& spec, resp::arguments args) {
  if (spec.has(fact::changes_keys)) return true;
  if (!spec.has(fact::changes_keys_by_lastid)) return false;
  return std::any_of(args.begin() + 1, args.end(),
                     [](std::string_view a) { return base::is_word(a, "lastid"); });
}

}  // namespace dualbus::command
