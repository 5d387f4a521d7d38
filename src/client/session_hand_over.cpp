#include <dualbus/base/log.hpp>
#include <dualbus/client/session.hpp>
#include <dualbus/command/command_table.hpp>
#include <dualbus/resp/request_parser.hpp>

#include <memory>
#include <sys/uio.h>
#include <utility>

// A client that goes to another process, or comes from one.
namespace dualbus::client {
namespace {

// More output than that is written first: it would have to be copied.
constexpr std::size_t most_output = std::size_t{256} << 10;

void append_request(std::string& out, const std::vector<std::string>& words) {
  out += "*" + std::to_string(words.size()) + "\r\n";
  for (const std::string& word : words) {
    out += "$" + std::to_string(word.size()) + "\r\n";
    out += word;
    out += "\r\n";
  }
}

}  // namespace

void session::stay() {
  if (!is_paused(pause_reason::hand_over)) return;
  unpause(pause_reason::hand_over);
  if (blocked_ && replies_.owes()) newest()->unpack_wait();
}

void session::lose_watch() {
  if (transaction_ && transaction_->watches()) transaction_->lose_watch();
}

std::optional<base::time_point> session::waiting_since() const {
  if (!blocked_ || !replies_.owes()) return std::nullopt;
  return newest()->arrived_;
}

const std::vector<read_cursor>& session::arrived_cursors() const {
  static const std::vector<read_cursor> none;
  return cursors_ ? *cursors_ : none;
}

// A client that monitors cannot go: nobody would know of it in time. One whose peer has ended its direction
// is about to go anyway.
bool session::can_go() const {
  if (phase_ != phase::open || leaving_ || deaf_ || half_closed_ || monitoring_ || login_permit_)
    return false;
  if (transaction_ && transaction_->watches()) return false;
  if (replies_.out().size() > most_output) return false;
  read_pauses others = pauses_;
  for (const pause_reason harmless : {pause_reason::hand_over, pause_reason::turn}) others.remove(harmless);
  if (!replies_.owes()) return !others.any();
  return blocked_ && replies_.owed() == 1 && others.only(pause_reason::held);
}

std::optional<session::departed> session::depart() {
  if (!can_go()) return std::nullopt;
  packed_wait wait;
  if (replies_.owes() && !newest()->pack_wait(wait)) return std::nullopt;
  using std::chrono::duration_cast;
  using std::chrono::milliseconds;
  session_state state;
  state.id = id_;
  state.tcp = tcp_;
  state.protocol = protocol_;
  state.database = database_;
  state.logged_in = logged_in_ && user_ != nullptr;
  if (user_ != nullptr) state.user = user_->name();
  if (names_) {
    state.name = names_->client;
    state.library = names_->library;
    state.library_version = names_->library_version;
  }
  state.evictable = evictable_;
  state.replies = replies_.current_mode();
  state.age = duration_cast<milliseconds>(environment_.turn.now - created_);
  state.idle = duration_cast<milliseconds>(environment_.turn.now - last_active_);
  if (last_command_ != no_command) state.last_command = command::command_table()[last_command_].name;
  const engine_attribution::knowledge known = attribution_.known();
  state.engine_source = known.source;
  state.engine_searches = known.searches;
  state.engine = known.name;
  state.in_transaction = in_transaction_;
  if (transaction_) {
    const open_transaction::packed packed = transaction_->pack();
    state.queue = packed.requests;
    state.spoiled = packed.spoiled;
    state.watch_lost = packed.watch_lost;
  }
  if (subscribed()) state.subscriptions = environment_.handler.requests_to_hear(*this);
  if (!wait.words.empty()) append_request(state.input, wait.words);
  if (partial_) state.input += partial_->buffer.data();
  state.cursors = std::move(wait.cursors);
  state.output = replies_.out().take_all();
  enter(phase::closed);
  end();
  return departed{std::move(state), std::move(fd_)};
}

void session::arrive(const session_state& state) {
  created_ = environment_.turn.now - state.age;
  last_active_ = environment_.turn.now - state.idle;
  protocol_ = state.protocol;
  database_ = state.database;
  evictable_ = state.evictable;
  if (const int command = command::find_command(state.last_command); command >= 0)
    last_command_ = static_cast<std::uint16_t>(command);
  if (!state.name.empty()) rename(mutable_names().client, state.name);
  if (!state.library.empty()) rename(mutable_names().library, state.library);
  if (!state.library_version.empty()) rename(mutable_names().library_version, state.library_version);
  attribution_.adopt({state.engine_source, state.engine_searches, state.engine});
  if (!state.output.empty()) {
    replies_.out().append(state.output);
    queue_flush();
  }
  bool gone = false;  // its user is
  if (state.logged_in && environment_.access.restricts()) {
    user_ = environment_.access.find(state.user);
    gone = user_ == nullptr || !user_->settings().enabled;
    if (gone) user_ = nullptr;
    logged_in_ = true;
    note_standing();
  }
  if (gone) return send_away();
  if (state.in_transaction || state.watch_lost) restore_transaction(state);
  if (closed()) return;
  replies_.set_mode(state.replies);
  if (!state.subscriptions.empty()) environment_.handler.restore_subscriptions(*this, state);
  if (!state.cursors.empty()) cursors_ = std::make_unique<std::vector<read_cursor>>(state.cursors);
  if (state.input.empty()) return;
  partial_ = stranger() ? std::make_unique<partial_input>() : environment_.input.take();
  partial_->buffer.append(state.input);
  resume_queued_ = true;
  environment_.turn.resume_later(*this);
}

// The requests are queued anew, as if the client sent them: so the rules and rights of this process decide.
void session::restore_transaction(const session_state& state) {
  if (state.watch_lost) environment_.handler.restore_lost_watch(*this);
  if (!state.in_transaction) return;
  replies_.set_mode(reply_queue::mode::off);
  const std::string requests = "*1\r\n$5\r\nMULTI\r\n" + state.queue;
  resp::request_parser parser;
  parser.set_limits({.max_request = environment_.limits.max_request});
  bool whole = true;
  for (std::string_view rest = requests; whole && !rest.empty() && !closed();) {
    whole = parser.parse(rest) == resp::parse_status::complete && !parser.args().empty();
    if (!whole) break;
    request taken{parser.args(), rest.substr(0, parser.consumed()), parser.verbatim()};
    whole = environment_.handler.handle(*this, taken);
    rest.remove_prefix(parser.consumed());
    parser.reset();
  }
  if (closed()) return;
  // Its next requests were meant to be queued.
  if (!in_transaction_) return close(metrics::close_reason::killed);
  if (!whole || state.spoiled) transaction_->spoil();
}

}  // namespace dualbus::client
