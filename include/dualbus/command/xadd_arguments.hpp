#pragma once

#include <dualbus/resp/request_parser.hpp>

#include <cstdint>
#include <string_view>

namespace dualbus::command {

/// The places of an XADD's parts, found as Redis finds them (t_stream.c, streamParseAddOrTrimArgsOrReply).
/// The user of numbers and IDs checks whether they are well formed.
struct xadd_arguments {
  enum class verdict : std::uint8_t {
    ok,
    malformed,   ///< Redis would refuse it: no fields, an odd number of them, or options that exclude each
                 ///< other
    unsupported  ///< has an option of a later Redis that does not work across buses; `option` is its index
  };
  verdict result = verdict::malformed;
  std::uint32_t id = 0;      ///< index of the ID
  std::uint32_t fields = 0;  ///< index of the first field name; names and values in turn, up to the end
  std::uint32_t min_id = 0;  ///< index of MINID's threshold, 0 if there is none
  std::uint32_t option = 0;
  bool no_mkstream = false;
};

/// `args` must have a number of arguments that XADD takes.
xadd_arguments parse_xadd(resp::arguments args);

/// The value of the first field called `name`, or a view with a null pointer.
std::string_view find_field(resp::arguments args, const xadd_arguments& where, std::string_view name);

}  // namespace dualbus::command
