#pragma once

#include <dualbus/command/routing_table.hpp>
#include <dualbus/command/xadd_arguments.hpp>
#include <dualbus/resp/request_parser.hpp>

#include <functional>
#include <string_view>

namespace dualbus::command {

struct json_reader;

/// Judges whether somebody who may send some message types only may send a message. Routing may guess; this
/// must not: whoever consumes the message reads it with other programs, which take another field when they
/// cannot read the first, or read what the daemon cannot. So every field that may name the type counts, and
/// one that cannot be read with certainty is a reason to refuse:
///
///     message_type          if there, it decides, and JSON does not matter; each, if there are several
///     payload, data, …      else each of the JSON fields: its type, or that it certainly has none
///
/// Certain is a type that every reader finds there: in UTF-8, once, as a string, in a text that is whole and
/// in which nothing but its values is unlike JSON (json_search::find_sole). A text that has neither a brace
/// nor a backslash certainly has none.
class type_judge {
 public:
  /// Says whether a type may be sent; "" stands for a message that names none.
  using test = std::function<bool(std::string_view type)>;

  struct verdict {
    bool permitted = false;
    std::string_view field;    ///< that cannot be read with certainty; empty: in a message that is one text
    std::string_view unclear;  ///< what is the matter with it, "it holds …"; empty: a type is not permitted
  };

  /// Both outlive it.
  type_judge(const routing_rules& rules, json_reader& reader);

  /// Of an XADD, parsed as `where`. read_buffer::padding bytes behind each argument must be readable.
  verdict of_entry(resp::arguments args, const xadd_arguments& where, const test& permits) const;
  /// Of a message that is one text (PUBLISH).
  verdict of_text(std::string_view text, const test& permits) const;

 private:
  struct finding {
    std::string_view type;     // a null pointer: none
    std::string_view unclear;  // if not empty, nobody knows
  };
  finding look(std::string_view text) const;
  finding look_parsed() const;
  bool may_name_type(std::string_view field) const;

  const routing_rules& rules_;
  json_reader& reader_;
  bool through_arrays_;  // the JSON pointer has an index, perhaps
};

}  // namespace dualbus::command
