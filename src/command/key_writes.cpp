#include <dualbus/base/c_string.hpp>
#include <dualbus/command/key_writes.hpp>

#include <algorithm>
#include <string_view>

namespace dualbus::command {

bool changes_keys_by_lastid(resp::arguments args) {
  return std::any_of(args.begin() + 1, args.end(),
                     [](std::string_view a) { return base::is_word(a, "lastid"); });
}

}  // namespace dualbus::command
