#pragma once

#include <dualbus/command/routing_table.hpp>
#include <dualbus/command/xadd_arguments.hpp>
#include <dualbus/resp/request_parser.hpp>

#include <functional>
#include <string_view>

namespace dualbus::command {

struct json_reader;

/// Judges whether a user that may send only some message types may send a message. Routing may guess;
/// permissions must not: the message's consumer reads it with other programs, which take another field when
/// they cannot read the first, or read texts that the daemon cannot. So every field that may name the type
/// counts, and a field that cannot be read with certainty is a reason to refuse:
///
///     message_type          if there, it decides, and JSON does not matter; each, if there are several
///     payload, data, …      else each of the JSON fields: its type, or that it certainly has none
///
/// A type is certain if every reader finds it there: in UTF-8, once, as a string, in a text that is whole and
/// unlike JSON in nothing but its values (json_search::find_sole). A text that has neither a brace nor a
/// backslash certainly has none.
class type_judge {
 public:
  /// Says whether a type may be sent; "" stands for a message that names none.
  using test = std::function<bool(std::string_view type)>;

  struct verdict {
    bool permitted = false;
    std::string_view field;    ///< the uncertain one; empty: in a message that is one text
    std::string_view unclear;  ///< why it is unclear, "it holds …"; empty: a type is not permitted
  };

  /// Both arguments outlive it.
  type_judge(const routing_rules& rules, json_reader& reader);

  /// Judges an XADD, parsed as `where`. After each argument, read_buffer::padding bytes must be readable.
  verdict of_entry(resp::arguments args, const xadd_arguments& where, const test& permits) const;
  /// Judges a message that is one text (PUBLISH).
  verdict of_text(std::string_view text, const test& permits) const;

 private:
  struct finding {
    std::string_view type;     // a null pointer: none
    std::string_view unclear;  // if not empty, nobody knows the type
  };
  finding look(std::string_view text) const;
  finding look_parsed() const;
  bool may_name_type(std::string_view field) const;

  const routing_rules& rules_;
  json_reader& reader_;
  bool through_arrays_;  // the JSON pointer may have an index
};

}  // namespace dualbus::command
