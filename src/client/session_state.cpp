#include <dualbus/client/session_state.hpp>

#include <cstring>
#include <optional>
#include <utility>

// A state is its version (2 bytes), then fields: a tag (1 byte), a length (4 bytes), so many bytes. Numbers
// are little-endian. A field that has its default is left out. Lists are their texts, each behind its length.
namespace dualbus::client {
namespace {

// Never change the meaning of a tag: older processes have written it.
enum class tag : std::uint8_t {
  id = 1,
  flags,  // a set of `flag`
  protocol,
  database,
  user,
  name,
  library,
  library_version,
  replies,
  age,
  idle,
  last_command,
  engine_source,
  engine_searches,
  engine,
  queue,
  subscription,  // one for each request
  input,
  output,
  cursor,  // one for each
  round,
};

enum flag : std::uint32_t {
  tcp = 1,
  logged_in = 2,
  no_evict = 4,
  in_transaction = 8,
  spoiled = 16,
  watch_lost = 32,
  known_flags = 63
};

void put_number(std::string& out, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out.push_back(static_cast<char>(value >> (8 * i) & 0xff));
}

void put(std::string& out, tag which, std::string_view bytes) {
  put_number(out, static_cast<std::uint8_t>(which), 1);
  put_number(out, bytes.size(), 4);
  out.append(bytes);
}

void put_text(std::string& out, tag which, std::string_view text) {
  if (!text.empty()) put(out, which, text);
}

void put_value(std::string& out, tag which, std::uint64_t value) {
  std::string bytes;
  put_number(bytes, value, 8);
  put(out, which, bytes);
}

void put_part(std::string& out, std::string_view text) {
  put_number(out, text.size(), 4);
  out.append(text);
}

class reader {
 public:
  explicit reader(std::string_view bytes) : left_(bytes) {}

  bool empty() const { return left_.empty(); }
  std::optional<std::uint64_t> number(std::size_t bytes) {
    if (left_.size() < bytes) return std::nullopt;
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < bytes; ++i)
      value |= std::uint64_t{static_cast<unsigned char>(left_[i])} << (8 * i);
    left_.remove_prefix(bytes);
    return value;
  }
  std::optional<std::string_view> part() {
    const auto length = number(4);
    if (!length || *length > left_.size()) return std::nullopt;
    const std::string_view text = left_.substr(0, *length);
    left_.remove_prefix(*length);
    return text;
  }

 private:
  std::string_view left_;
};

bool take_number(std::string_view bytes, std::uint64_t most, std::uint64_t& into) {
  reader in(bytes);
  const auto value = in.number(8);
  if (!value || !in.empty() || *value > most) return false;
  into = *value;
  return true;
}

template <typename T>
bool take_number(std::string_view bytes, std::uint64_t most, T& into) {
  std::uint64_t value = 0;
  if (!take_number(bytes, most, value)) return false;
  into = static_cast<T>(value);
  return true;
}

bool take_time(std::string_view bytes, std::chrono::milliseconds& into) {
  constexpr std::uint64_t century = std::uint64_t{100} * 366 * 24 * 3600 * 1000;
  std::uint64_t value = 0;
  if (!take_number(bytes, century, value)) return false;
  into = std::chrono::milliseconds(value);
  return true;
}

bool take_flags(std::string_view bytes, session_state& into) {
  std::uint64_t flags = 0;
  if (!take_number(bytes, known_flags, flags)) return false;
  into.tcp = (flags & flag::tcp) != 0;
  into.logged_in = (flags & flag::logged_in) != 0;
  into.evictable = (flags & flag::no_evict) == 0;
  into.in_transaction = (flags & flag::in_transaction) != 0;
  into.spoiled = (flags & flag::spoiled) != 0;
  into.watch_lost = (flags & flag::watch_lost) != 0;
  return true;
}

bool take_words(std::string_view bytes, std::vector<std::vector<std::string>>& into) {
  std::vector<std::string> words;
  for (reader in(bytes); !in.empty();) {
    const auto word = in.part();
    if (!word) return false;
    words.emplace_back(*word);
  }
  if (words.size() < 2) return false;
  into.push_back(std::move(words));
  return true;
}

bool take_cursor(std::string_view bytes, std::vector<read_cursor>& into) {
  reader in(bytes);
  const auto key = in.number(4);
  const auto bus = in.part();
  const auto id = in.part();
  if (!key || !bus || !id || !in.empty()) return false;
  into.push_back({static_cast<std::uint32_t>(*key), std::string(*bus), std::string(*id)});
  return true;
}

bool take_field(session_state& into, std::uint64_t which, std::string_view bytes) {
  const auto text = [bytes](std::string& to) {
    to = bytes;
    return true;
  };
  switch (static_cast<tag>(which)) {
    case tag::id:
      return take_number(bytes, ~std::uint64_t{0}, into.id);
    case tag::flags:
      return take_flags(bytes, into);
    case tag::protocol:
      return take_number(bytes, 3, into.protocol) &&
             (into.protocol == resp::protocol::resp2 || into.protocol == resp::protocol::resp3);
    case tag::database:
      return take_number(bytes, 255, into.database);
    case tag::user:
      return text(into.user);
    case tag::name:
      return text(into.name);
    case tag::library:
      return text(into.library);
    case tag::library_version:
      return text(into.library_version);
    case tag::replies:
      return take_number(bytes, static_cast<std::uint64_t>(reply_queue::mode::skip_this), into.replies);
    case tag::age:
      return take_time(bytes, into.age);
    case tag::idle:
      return take_time(bytes, into.idle);
    case tag::last_command:
      return text(into.last_command);
    case tag::engine_source:
      return take_number(bytes, 3, into.engine_source);
    case tag::engine_searches:
      return take_number(bytes, 255, into.engine_searches);
    case tag::engine:
      return text(into.engine);
    case tag::queue:
      return text(into.queue);
    case tag::subscription:
      return take_words(bytes, into.subscriptions);
    case tag::input:
      return text(into.input);
    case tag::output:
      return text(into.output);
    case tag::round:
      return take_number(bytes, ~std::uint64_t{0}, into.round);
    case tag::cursor:
      return take_cursor(bytes, into.cursors);
  }
  return false;
}

}  // namespace

std::string encode(const session_state& state) {
  std::string out;
  out.reserve(256 + state.input.size() + state.output.size() + state.queue.size());
  put_number(out, session_state::version, 2);
  const std::uint32_t flags =
      (state.tcp ? flag::tcp : 0U) | (state.logged_in ? flag::logged_in : 0U) |
      (state.evictable ? 0U : flag::no_evict) | (state.in_transaction ? flag::in_transaction : 0U) |
      (state.spoiled ? flag::spoiled : 0U) | (state.watch_lost ? flag::watch_lost : 0U);
  put_value(out, tag::id, state.id);
  put_value(out, tag::flags, flags);
  put_value(out, tag::protocol, static_cast<std::uint64_t>(state.protocol));
  if (state.database != 0) put_value(out, tag::database, state.database);
  put_text(out, tag::user, state.user);
  put_text(out, tag::name, state.name);
  put_text(out, tag::library, state.library);
  put_text(out, tag::library_version, state.library_version);
  if (state.replies != reply_queue::mode::on)
    put_value(out, tag::replies, static_cast<std::uint64_t>(state.replies));
  put_value(out, tag::age, static_cast<std::uint64_t>(state.age.count()));
  put_value(out, tag::idle, static_cast<std::uint64_t>(state.idle.count()));
  put_text(out, tag::last_command, state.last_command);
  if (state.engine_source != 0) put_value(out, tag::engine_source, state.engine_source);
  if (state.engine_searches != 0) put_value(out, tag::engine_searches, state.engine_searches);
  put_text(out, tag::engine, state.engine);
  put_text(out, tag::queue, state.queue);
  for (const auto& words : state.subscriptions) {
    std::string bytes;
    for (const std::string& word : words) put_part(bytes, word);
    put(out, tag::subscription, bytes);
  }
  if (state.round != 0) put_value(out, tag::round, state.round);
  put_text(out, tag::input, state.input);
  put_text(out, tag::output, state.output);
  for (const read_cursor& cursor : state.cursors) {
    std::string bytes;
    put_number(bytes, cursor.key, 4);
    put_part(bytes, cursor.bus);
    put_part(bytes, cursor.id);
    put(out, tag::cursor, bytes);
  }
  return out;
}

std::variant<session_state, std::string> decode(std::string_view bytes) {
  reader in(bytes);
  const auto made_by = in.number(2);
  if (!made_by || *made_by == 0) return std::string("this is no state of a client");
  if (*made_by > session_state::version) {
    return "the state has version " + std::to_string(*made_by) + ", and this daemon knows versions up to " +
           std::to_string(session_state::version);
  }
  session_state state;
  while (!in.empty()) {
    const auto which = in.number(1);
    const auto field = in.part();
    if (!which || !field) return std::string("the state ends in the middle of a field");
    if (!take_field(state, *which, *field)) return "field " + std::to_string(*which) + " makes no sense";
  }
  if (state.id == 0) return std::string("the state names no client");
  return state;
}

}  // namespace dualbus::client
