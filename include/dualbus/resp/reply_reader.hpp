#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace dualbus::resp {

/// One value of a reply: the header of an aggregate, or a whole scalar.
struct reply_value {
  char type = 0;             ///< the type byte
  bool null = false;         ///< `$-1`, `*-1` or `_`
  std::int64_t number = 0;   ///< of an integer
  std::size_t elements = 0;  ///< of an aggregate: the number of its values, which follow (of a map: pairs)
  std::string_view text;     ///< bulk or line
  bool is_aggregate() const { return type == '*' || type == '~' || type == '%' || type == '>'; }
  bool is_error() const { return type == '-' || type == '!'; }
  bool is_integer() const { return type == ':'; }
  bool is_string() const { return (type == '$' || type == '=' || type == '+') && !null; }
};

/// Walks a reply that a reply_scanner found complete, value by value. Views point into the reply.
class reply_reader {
 public:
  explicit reply_reader(std::string_view reply) : rest_(reply) {}

  bool done() const { return rest_.empty(); }
  /// The next value; attributes are passed over. The elements of an aggregate follow it.
  reply_value next();
  /// The bytes of the next value with everything in it, which are passed over.
  std::string_view skip();
  std::string_view rest() const { return rest_; }
  /// The bytes of the last `count` values, which are passed over; nothing if more or fewer values are left.
  std::optional<std::string_view> last(std::size_t count);

 private:
  std::string_view rest_;
};

/// The integer that `reply` is, if it is one.
std::optional<std::int64_t> as_integer(std::string_view reply);

}  // namespace dualbus::resp
