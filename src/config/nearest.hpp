#pragma once

#include <span>
#include <string>
#include <string_view>

namespace dualbus::config {

/// The candidate that `text` most likely meant: the one with the fewest typing mistakes (a letter missing,
/// too many, wrong, or two swapped), if they are few for its length; else empty. The view is one of
/// `candidates`.
std::string_view nearest(std::string_view text, std::span<const std::string_view> candidates);

/// "unknown <kind> '<text>', did you mean '<nearest>'?", or the list of candidates if none is near.
std::string unknown_name(std::string_view kind, std::string_view text,
                         std::span<const std::string_view> candidates);

}  // namespace dualbus::config
