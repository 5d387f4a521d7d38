#pragma once

#include <span>
#include <string_view>

namespace dualbus::admin {

/// A file that the page needs; the build puts its bytes into the program.
struct page_asset {
  std::string_view path, content_type, body;
};
std::span<const page_asset> page_assets();

}  // namespace dualbus::admin
