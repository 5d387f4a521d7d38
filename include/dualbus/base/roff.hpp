#pragma once

#include <string>
#include <string_view>

namespace dualbus::base {

// Manual pages, in the macros of man(7).

/// The head of a page: its name, section and subject, and the version of the program.
std::string roff_title(std::string_view page, int section, std::string_view subject);

/// `text` with everything escaped that has a meaning to roff.
std::string roff(std::string_view text);

/// The little Markdown that the references hold: headings, paragraphs, lists, code, links. Headings of the
/// second level become sections, those of the third parts of one; the title is left out.
std::string roff_from_markdown(std::string_view text);

}  // namespace dualbus::base
