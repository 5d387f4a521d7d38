#include "page_assets.hpp"

// The assembler copies each file as it is. DUALBUS_PAGE and DUALBUS_DYGRAPHS are the folders that hold them.
#define DUALBUS_EMBED(name, file)                                \
  __asm__(                                                       \
      ".pushsection .rodata\n"                                   \
      ".global dualbus_" #name "\n.global dualbus_" #name        \
      "_end\n"                                                   \
      "dualbus_" #name ":\n.incbin \"" file "\"\ndualbus_" #name \
      "_end:\n"                                                  \
      ".byte 0\n.popsection\n");                                 \
  extern "C" const char dualbus_##name[], dualbus_##name##_end[]

DUALBUS_EMBED(page_css, DUALBUS_PAGE "/page.css");
DUALBUS_EMBED(page_js, DUALBUS_PAGE "/page.js");
DUALBUS_EMBED(dygraph_css, DUALBUS_DYGRAPHS "/dygraph.min.css");
DUALBUS_EMBED(dygraph_js, DUALBUS_DYGRAPHS "/dygraph.min.js");

namespace dualbus::admin {
namespace {

constexpr std::string_view css = "text/css; charset=utf-8";
constexpr std::string_view script = "text/javascript; charset=utf-8";

}  // namespace

std::span<const page_asset> page_assets() {
  static const page_asset all[] = {
      {"/page.css", css, {dualbus_page_css, dualbus_page_css_end}},
      {"/page.js", script, {dualbus_page_js, dualbus_page_js_end}},
      {"/dygraph.css", css, {dualbus_dygraph_css, dualbus_dygraph_css_end}},
      {"/dygraph.js", script, {dualbus_dygraph_js, dualbus_dygraph_js_end}},
  };
  return all;
}

}  // namespace dualbus::admin
