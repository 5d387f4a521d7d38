#include <dualbus/base/printable.hpp>
#include <dualbus/base/roff.hpp>
#include <dualbus/base/version.hpp>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <utility>

namespace dualbus::base {
namespace {

// Takes one character off the front: its number in Unicode. What is no UTF-8 is taken as a byte.
std::uint32_t take_character(std::string_view& text) {
  const std::size_t length = printable_sequence(text);
  const auto first = static_cast<unsigned char>(text.front());
  if (length <= 1) {
    text.remove_prefix(1);
    return first;
  }
  std::uint32_t number = first & (0xffU >> (length + 1));
  for (std::size_t i = 1; i < length; ++i)
    number = number << 6 | (static_cast<unsigned char>(text[i]) & 0x3fU);
  text.remove_prefix(length);
  return number;
}

void append_escaped(std::string& out, std::string_view text) {
  // A dash may be shown as a hyphen, and a quote as a curly one: nobody could copy them into a shell.
  constexpr std::string_view special = "\\-'`^~\"";
  constexpr const char* escaped[] = {"\\e", "\\-", "\\(aq", "\\(ga", "\\(ha", "\\(ti", "\\(dq"};
  while (!text.empty()) {
    const bool starts_line = out.empty() || out.back() == '\n';
    const std::uint32_t c = take_character(text);
    if (c >= 0x80) {
      char name[16];
      std::snprintf(name, sizeof name, "\\[u%04X]", c);
      out += name;
      continue;
    }
    const auto plain = static_cast<char>(c);
    if (const std::size_t which = special.find(plain); which != std::string_view::npos) {
      out += escaped[which];
    } else {
      if (starts_line && plain == '.') out += "\\&";
      out += plain;
    }
  }
}

// Code becomes bold, a link its words with the file behind them.
void append_words(std::string& out, std::string_view text, std::string_view font) {
  while (!text.empty()) {
    const std::size_t special = text.find_first_of("`[");
    append_escaped(out, text.substr(0, special));
    if (special == std::string_view::npos) return;
    text.remove_prefix(special);
    const std::size_t code_end = text.find('`', 1);
    const std::size_t words_end = text.find("](");
    const std::size_t link_end = text.find(')', words_end);
    if (text.front() == '`' && code_end != std::string_view::npos) {
      append_escaped(out += "\\fB", text.substr(1, code_end - 1));
      out += font;
      text.remove_prefix(code_end + 1);
    } else if (text.front() == '[' && link_end != std::string_view::npos && text.find('[', 1) > words_end) {
      const std::string_view words = text.substr(1, words_end - 1);
      std::string_view file = text.substr(words_end + 2, link_end - words_end - 2);
      file = file.substr(0, file.find('#'));
      append_escaped(out, words);
      if (!file.empty() && file != words) append_escaped(out, " (" + std::string(file) + ")");
      text.remove_prefix(link_end + 1);
    } else {
      append_escaped(out, text.substr(0, 1));
      text.remove_prefix(1);
    }
  }
}

// The lines of a document, one after the other.
class page_writer {
 public:
  std::string take() { return std::move(out_); }

  void line(std::string_view text) {
    if (text.starts_with("```")) {
      code_ = !code_;
      out_ += code_ ? ".PP\n.in +4n\n.EX\n" : ".EE\n.in\n";
      parted_ = true;
    } else if (code_) {
      append_escaped(out_, text);
      out_ += '\n';
    } else if (text.empty()) {
      parted_ = false;
    } else if (text.starts_with("### ")) {
      heading(".SS ", text.substr(4));
    } else if (text.starts_with("## ")) {
      heading(".SH ", text.substr(3));
    } else if (!text.starts_with("# ") && !text.starts_with("<!--")) {
      prose(text);
    }
  }

 private:
  void heading(std::string_view macro, std::string_view text) {
    append_words(out_ += macro, text, "\\fR");
    out_ += '\n';
    parted_ = true;
  }

  void prose(std::string_view text) {
    if (text.starts_with("- ")) {
      out_ += ".IP \\(bu 2\n";
      text.remove_prefix(2);
    } else if (!parted_) {
      out_ += ".PP\n";
    }
    parted_ = true;
    text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
    if (text.size() > 2 && text.front() == '*' && text.back() == '*') {
      append_words(out_ += "\\fI", text.substr(1, text.size() - 2), "\\fI");
      out_ += "\\fR\n";
    } else {
      append_words(out_, text, "\\fR");
      out_ += '\n';
    }
  }

  std::string out_;
  bool code_ = false;
  bool parted_ = false;  // the next line of prose needs no new paragraph
};

}  // namespace

std::string roff_title(std::string_view page, int section, std::string_view subject) {
  return ".TH " + roff(page) + " " + std::to_string(section) + " \"\" \"dualbus " + roff(version) + "\" \"" +
         roff(subject) + "\"\n.nh\n.ad l\n";
}

std::string roff(std::string_view text) {
  std::string out;
  append_escaped(out, text);
  return out;
}

std::string roff_from_markdown(std::string_view text) {
  page_writer page;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    page.line(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return page.take();
}

}  // namespace dualbus::base
