#include <dualbus/base/c_string.hpp>
#include <dualbus/command/xadd_arguments.hpp>

namespace dualbus::command {
namespace {

// Options that Redis 8.2 and later take before the ID.
bool is_later_option(std::string_view word) {
  for (const std::string_view option : {"keepref", "delref", "acked", "idmp", "idmpauto"}) {
    if (base::is_word(word, option)) return true;
  }
  return false;
}

}  // namespace

xadd_arguments parse_xadd(resp::arguments args) {
  xadd_arguments result;
  bool trims = false;
  std::size_t i = 2;
  for (; i < args.size(); ++i) {
    const std::string_view word = args[i];
    const std::size_t more = args.size() - 1 - i;
    if (base::is_word(word, "*")) break;
    const bool max_length = base::is_word(word, "maxlen");
    if (more > 0 && (max_length || base::is_word(word, "minid"))) {
      if (trims) return result;
      trims = true;
      if (more >= 2 && (base::is_word(args[i + 1], "~") || base::is_word(args[i + 1], "="))) ++i;
      ++i;
      if (!max_length) result.min_id = static_cast<std::uint32_t>(i);
    } else if (more > 0 && base::is_word(word, "limit")) {
      ++i;
    } else if (base::is_word(word, "nomkstream")) {
      result.no_mkstream = true;
    } else if (is_later_option(word)) {
      result.result = xadd_arguments::verdict::unsupported;
      result.option = static_cast<std::uint32_t>(i);
      return result;
    } else {
      break;
    }
  }
  if (i >= args.size()) return result;
  const std::size_t field_arguments = args.size() - i - 1;
  if (field_arguments < 2 || field_arguments % 2 != 0) return result;
  result.id = static_cast<std::uint32_t>(i);
  result.fields = static_cast<std::uint32_t>(i + 1);
  result.result = xadd_arguments::verdict::ok;
  return result;
}

std::string_view find_field(resp::arguments args, const xadd_arguments& where, std::string_view name) {
  for (std::size_t i = where.fields; i + 1 < args.size(); i += 2) {
    if (args[i] == name) return args[i + 1];
  }
  return {};
}

}  // namespace dualbus::command
