#include "yaml_tree.hpp"

#include "values.hpp"
#include "yaml_mistakes.hpp"

#include <dualbus/base/numbers.hpp>

#include <algorithm>
#include <exception>
#include <sstream>
#include <unordered_map>
#include <utility>

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

namespace dualbus::config {
namespace {

position place_of(const YAML::Mark& mark) {
  return mark.is_null() ? position{1, 1} : position{mark.line + 1, mark.column + 1};
}

// Stops the parser; its finding is reported already.
struct refused : std::exception {};

// Builds the tree from the parser's events, because yaml-cpp's nodes keep only the position of a value, let a
// later key replace an equal one, and expand aliases.
class tree_builder final : public YAML::EventHandler {
 public:
  explicit tree_builder(report& findings) : report_(findings) { open_.emplace_back(); }

  node take_root() { return std::move(open_.front().value); }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (documents_++ == 0) return;
    report_.mistake(place_of(mark), "", "the file must hold one YAML document, here starts another");
    throw refused();
  }
  void OnDocumentEnd() override { complete_ = true; }
  bool complete() const { return complete_; }
  /// The start of the last quoted or block scalar; null if there is none.
  const YAML::Mark& last_quoted() const { return last_quoted_; }

  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override {
    if (wants_key()) {
      refuse_key(place_of(mark), "a key is missing");
      return;
    }
    node n;
    // yaml-cpp gives the place where it noticed, often on a later line.
    const frame& parent = top();
    n.at = parent.has_key && !parent.drop_next ? parent.value.keys.back().at : place_of(mark);
    add(std::move(n));
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    report_.mistake(place_of(mark), path(), "YAML aliases are not supported, write the value out");
    if (wants_key()) {
      top().has_key = top().drop_next = true;
      return;
    }
    node n;
    n.is = node::kind::refused;
    n.at = place_of(mark);
    add(std::move(n));
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                const std::string& value) override {
    check_tag(mark, tag);
    if (tag == "!") last_quoted_ = mark;
    if (wants_key()) {
      take_key(place_of(mark), value);
      return;
    }
    node n;
    n.is = node::kind::scalar;
    n.at = place_of(mark);
    n.text = value;
    add(std::move(n));
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    open(mark, tag, node::kind::list);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {
    open(mark, tag, node::kind::map);
  }
  void OnMapEnd() override { close(); }

 private:
  // A value under construction. The first is a holder for the root.
  struct frame {
    node value;
    std::unordered_map<std::string, position> seen;
    bool has_key = false;    // of a map: the next event is the value
    bool drop_next = false;  // of a map: that value belongs to a refused key
    bool is_key = false;     // this value stands where a key should
  };

  frame& top() { return open_.back(); }
  bool wants_key() { return top().value.is == node::kind::map && !top().has_key; }

  std::string path() const {
    std::string text;
    for (const frame& f : open_) {
      if (f.value.is == node::kind::list) {
        text += "[" + std::to_string(f.value.items.size()) + "]";
      } else if (f.value.is == node::kind::map && f.has_key && !f.drop_next) {
        text += (text.empty() ? "" : ".") + f.value.keys.back().text;
      }
    }
    return text;
  }

  void check_tag(const YAML::Mark& mark, const std::string& tag) {
    // The parser's own marks for plain and for quoted scalars; an untagged collection has "" or "?".
    if (tag.empty() || tag == "?" || tag == "!") return;
    report_.mistake(place_of(mark), path(), "YAML tags are not supported");
  }

  void take_key(position at, const std::string& text) {
    frame& map = top();
    map.has_key = true;
    const auto [first, is_new] = map.seen.emplace(text, at);
    map.drop_next = !is_new;
    if (is_new) {
      map.value.keys.push_back({text, at});
    } else {
      const std::string above = path();
      report_.mistake(
          at, above.empty() ? text : above + "." + text,
          "duplicate key " + quoted(text) + ", first on line " + std::to_string(first->second.line));
    }
  }

  void refuse_key(position at, std::string_view text) {
    report_.mistake(at, path(), text);
    top().has_key = true;
    top().drop_next = true;
  }

  void open(const YAML::Mark& mark, const std::string& tag, node::kind is) {
    check_tag(mark, tag);
    if (open_.size() > max_depth) {
      report_.mistake(place_of(mark), "", "nested deeper than " + std::to_string(max_depth) + " levels");
      throw refused();
    }
    const bool is_key = wants_key();
    if (is_key) refuse_key(place_of(mark), "a key must be a scalar");
    frame f;
    f.value.is = is;
    f.value.at = place_of(mark);
    f.is_key = is_key;
    open_.push_back(std::move(f));
  }

  void close() {
    frame done = std::move(open_.back());
    open_.pop_back();
    if (!done.is_key) add(std::move(done.value));
  }

  void add(node n) {
    frame& parent = top();
    switch (parent.value.is) {
      case node::kind::list:
        parent.value.items.push_back(std::move(n));
        break;
      case node::kind::map:
        if (!parent.drop_next) parent.value.items.push_back(std::move(n));
        parent.has_key = parent.drop_next = false;
        break;
      default:
        parent.value = std::move(n);
        break;
    }
  }

  report& report_;
  std::vector<frame> open_;
  YAML::Mark last_quoted_ = YAML::Mark::null_mark();
  int documents_ = 0;
  bool complete_ = false;  // the first document has ended
};

// The length of the UTF-8 sequence at the start of `text`, or 0 if it is none or a character that no text
// file holds.
std::size_t character_length(std::string_view text) {
  const auto byte = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return first >= 0x20 || first == '\t' || first == '\n' || first == '\r' ? 1 : 0;
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  // Overlong forms, surrogates, and what lies beyond Unicode.
  if ((first == 0xe0 && byte(1) < 0xa0) || (first == 0xed && byte(1) > 0x9f)) return 0;
  if ((first == 0xf0 && byte(1) < 0x90) || (first == 0xf4 && byte(1) > 0x8f)) return 0;
  return length;
}

// yaml-cpp guesses UTF-16 and UTF-32 from zero bytes and replaces what it cannot decode; a file with either
// is damaged, and no guess about it is right.
bool is_text(std::string_view text, report& findings) {
  position at{1, 1};
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = character_length(text.substr(i));
    if (length == 0) {
      findings.mistake(at, "", "not UTF-8 text: byte " + std::to_string(static_cast<unsigned char>(text[i])));
      return false;
    }
    if (text[i] == '\n') {
      at = {at.line + 1, 1};
    } else {
      ++at.column;
    }
    i += length;
  }
  return true;
}

// True if the quote that opens at the mark also closes. yaml-cpp takes a line break before the end of the
// file for the closing quote.
bool quote_closes(std::string_view text, const YAML::Mark& mark) {
  for (int line = 0; line < mark.line; ++line) text.remove_prefix(text.find('\n') + 1);
  text.remove_prefix(std::min(text.size(), static_cast<std::size_t>(mark.column)));
  if (!text.starts_with('"') && !text.starts_with('\'')) return true;  // a block scalar ends with the file
  const char quote = text.front();
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '\\' && quote == '"') {
      ++i;
    } else if (text[i] == quote) {
      if (quote == '"' || !text.substr(i + 1).starts_with(quote)) return true;
      ++i;
    }
  }
  return false;
}

}  // namespace

yaml_tree read_yaml(std::string_view text, report& findings) {
  yaml_tree tree;
  if (!is_text(text, findings)) return tree;
  tree_builder builder(findings);
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
    const YAML::Mark& quoted = builder.last_quoted();
    tree.complete = quoted.is_null() || quote_closes(text, quoted);
    if (!tree.complete) findings.mistake(place_of(quoted), "", "YAML syntax: the quote is not closed");
  } catch (const refused&) {
    tree.complete = builder.complete();
  } catch (const YAML::Exception& error) {
    const yaml_mistake found = explain_mistake(text, place_of(error.mark), error.msg);
    findings.mistake(found.at, "", found.text);
  } catch (const std::exception& error) {
    findings.mistake({}, "", std::string("YAML syntax: ") + error.what());
  }
  if (tree.complete) tree.root = builder.take_root();
  return tree;
}

std::string description(const node& n, bool repeated) {
  switch (n.is) {
    case node::kind::map:
      return "a map";
    case node::kind::list:
      return "a list";
    case node::kind::scalar:
      return repeated ? quoted(n.text) : "a single value";
    case node::kind::nothing:
    case node::kind::refused:
      break;
  }
  return "nothing";
}

}  // namespace dualbus::config
