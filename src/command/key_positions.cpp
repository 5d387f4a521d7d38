#include <dualbus/base/c_string.hpp>
#include <dualbus/base/numbers.hpp>
#include <dualbus/command/key_positions.hpp>

namespace dualbus::command {
namespace {

using positions_list = std::vector<std::uint32_t>;

// `step`: 2 if each key is followed by a value.
bool add_counted(resp::arguments args, std::size_t count_at, bool may_be_none, positions_list& positions,
                 std::size_t step = 1) {
  if (count_at >= args.size()) return false;
  const auto count = base::parse_int64(args[count_at]);
  if (!count || *count < (may_be_none ? 0 : 1) ||
      static_cast<std::uint64_t>(*count) > (args.size() - count_at - 1) / step)
    return false;
  for (std::size_t i = 0; i < static_cast<std::size_t>(*count); ++i) {
    positions.push_back(static_cast<std::uint32_t>(count_at + 1 + i * step));
  }
  return true;
}

// The key behind the last STORE or STOREDIST of SORT or GEORADIUS. Arguments of other options are skipped:
// they may be called "store" too.
void add_destination(resp::arguments args, std::size_t from, positions_list& positions) {
  std::size_t destination = 0;
  for (std::size_t i = from; i + 1 < args.size(); ++i) {
    const auto is = [&](std::string_view word) { return base::is_word(args[i], word); };
    if (is("store") || is("storedist")) {
      destination = ++i;
    } else if (is("limit")) {
      i += 2;
    } else if (is("by") || is("get") || is("count")) {
      ++i;
    }
  }
  if (destination > 0) positions.push_back(static_cast<std::uint32_t>(destination));
}

bool add_streams(resp::arguments args, positions_list& positions) {
  for (std::size_t i = 1; i < args.size(); ++i) {
    if (base::is_word(args[i], "group")) {
      i += 2;  // a group or consumer may itself be called "streams"
    } else if (base::is_word(args[i], "streams")) {
      const std::size_t rest = args.size() - i - 1;
      if (rest == 0 || rest % 2 != 0) return false;
      for (std::size_t k = 0; k < rest / 2; ++k) positions.push_back(static_cast<std::uint32_t>(i + 1 + k));
      return true;
    } else if (base::is_word(args[i], "count") || base::is_word(args[i], "block")) {
      ++i;
    }
  }
  return false;
}

}  // namespace

bool find_keys(const command_spec& spec, resp::arguments args, positions_list& positions) {
  positions.clear();
  switch (spec.keys) {
    case key_form::range: {
      if (spec.first_key == 0) return true;
      const auto size = static_cast<std::int64_t>(args.size());
      const std::int64_t last = spec.last_key >= 0 ? spec.last_key : size + spec.last_key;
      if (last >= size) return false;
      for (std::int64_t i = spec.first_key; i <= last; i += spec.key_step) {
        positions.push_back(static_cast<std::uint32_t>(i));
      }
      return true;
    }
    case key_form::second:
      if (args.size() > 2) positions.push_back(2);
      return args.size() > 2;
    case key_form::numkeys1:
      return add_counted(args, 1, false, positions);
    case key_form::numkeys1_pairs:
      return add_counted(args, 1, false, positions, 2);
    case key_form::numkeys2:
      // Scripts need no keys: 'K' is no_mandatory_keys.
      return add_counted(args, 2, has_flag(spec, 'K'), positions);
    case key_form::dest_numkeys:
      positions.push_back(1);
      return add_counted(args, 2, false, positions);
    case key_form::sort:
      positions.push_back(1);
      add_destination(args, 2, positions);
      return true;
    case key_form::georadius:
      positions.push_back(1);
      add_destination(args, 5, positions);
      return true;
    case key_form::streams:
      return add_streams(args, positions);
  }
  return false;
}

void find_sort_patterns(resp::arguments args, positions_list& positions) {
  positions.clear();
  for (std::size_t i = 2; i + 1 < args.size(); ++i) {
    const auto is = [&](std::string_view word) { return base::is_word(args[i], word); };
    if (is("limit")) {
      i += 2;
    } else if (is("store")) {
      ++i;
    } else if (is("by") || is("get")) {
      positions.push_back(static_cast<std::uint32_t>(++i));
    }
  }
}

}  // namespace dualbus::command
