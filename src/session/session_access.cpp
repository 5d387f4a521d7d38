#include <dualbus/base/log.hpp>
#include <dualbus/command/command_table.hpp>
#include <dualbus/session/authorization.hpp>
#include <dualbus/session/session.hpp>
#include <dualbus/session/slow_log.hpp>
#include <dualbus/session/subscription_commands.hpp>
#include <dualbus/session/transaction.hpp>
#include <dualbus/session/worker_context.hpp>

#include <chrono>
#include <new>
#include <string>
#include <utility>
#include <vector>

// The parts of a session that users, MONITOR, Pub/Sub and SLOWLOG need.
namespace dualbus::session {
namespace {

std::string denial_of(worker_context& context, const session& client, const std::vector<std::string>& words) {
  const std::vector<std::string_view> args(words.begin(), words.end());
  const int index = command::find_command(args[0]);
  return denial_of(context, client, static_cast<std::uint16_t>(index), args);
}

}  // namespace

void session::set_user(const user& who) {
  user_ = &who;
  logged_in_ = true;
  note_standing();
}

void session::note_standing() {
  standing now = standing::none;
  if (!closed() && context_.access().restricts()) {
    now = user_ == nullptr ? standing::stranger : user_->administers() ? standing::admin : standing::ordinary;
  }
  if (now == standing_) return;
  if (stranger()) context_.strangers.remove({stranger_since_, id_});
  context_.daemon.places.change(standing_, now);
  standing_ = now;
  if (!stranger()) return;
  stranger_since_ = context_.now;
  context_.strangers.add({stranger_since_, id_});
}

void session::delay_login(base::duration delay) {
  pause(pause_reason::login);
  context_.timers.add(context_.now + delay, [&context = context_, id = id_] {
    session* const client = context.clients.find(id);
    if (client == nullptr) return;
    client->login_permit_ = true;
    client->unpause(pause_reason::login);
  });
}

void session::reset() {
  if (subscribed_) context_.subscriptions().leave(*this);
  protocol_ = resp::protocol::resp2;
  if (reply_mode_ != reply_mode::skip_this) reply_mode_ = reply_mode::on;  // then RESET is what it skips
  database_ = 0;
  end_transaction();
  logged_in_ = monitoring_ = false;
  user_ = context_.access().initial();
  note_standing();
  if (names_) set_name({});
}

void session::change_users() {
  const access_control& access = context_.access();
  if (!logged_in_ || !access.restricts()) {
    logged_in_ = false;
    user_ = access.initial();
  } else if (user_ != nullptr) {  // else it is being sent away since the last reload
    user_ = access.find(user_->name());
    if (user_ == nullptr || !user_->settings().enabled) return send_away();
  }
  review();
}

// Each state is judged as the request that leads to it, as if that came now: there is no second set of rules.
// Redis closes subscribers of channels that a change of their user's rules takes away (acl.c,
// ACLKillPubsubClientsIfNeeded). Those who monitor cannot be told in another way either.
void session::review() {
  if (closed() || leaving_) return;
  if (const std::string right = lost_right(); !right.empty()) {
    base::warn_limited({}, "client {} {}: it may not use {} any more; closing", id_, peer_address(), right);
    return send_away();
  }
  const auto may_not = [this](const std::vector<std::string>& words) {
    return !words.empty() && !denial_of(context_, *this, words).empty();
  };
  if (transaction_ && user_ == nullptr && context_.access().restricts()) {
    if (in_transaction_) transaction_->spoil();
    transaction_->lose_watch();
  }
  if (!evictable_) evictable_ = may_not({"CLIENT", "NO-EVICT", "ON"});
  if (tail_ == nullptr) return;
  if (const auto words = tail_->lasting_request(); may_not(words)) {
    if (tail_->refuse_wait(denial_of(context_, *this, words))) ++context_.metrics.permission_denials;
  } else if (blocked_ && tail_->misplaced()) {
    tail_->unblock(false);
  }
}

// By which it hears what others do; empty if it has lost none.
std::string session::lost_right() const {
  if (monitoring_ && !denial_of(context_, *this, {"MONITOR"}).empty()) return "MONITOR";
  if (!subscribed_) return {};
  using kind = backend::subscription;
  for (const kind k : {kind::channel, kind::pattern, kind::shard}) {
    std::vector<std::string> words = context_.subscriptions().table().names_of(id_, k);
    if (words.empty()) continue;
    words.emplace(words.begin(), subscribing_command(k));
    if (!denial_of(context_, *this, words).empty()) return words[0];
  }
  return {};
}

// It hears nothing more of what others do, though it may wait for what a bus has given it.
void session::send_away() {
  if (subscribed_) context_.subscriptions().leave(*this);
  monitoring_ = false;
  leave(metrics::close_reason::killed);
}

void session::send_monitor_lines(std::string_view lines) {
  // Not before the +OK to MONITOR, and not within a reply that comes in parts.
  if (closed() || head_ != nullptr || is_paused(pause_reason::closing)) return;
  only_acknowledged_ = false;
  out_.append(lines);
  queue_flush();
}

base::chunk_queue* session::push_target() {
  if (closed() || is_paused(pause_reason::closing)) return nullptr;
  only_acknowledged_ = false;
  queue_flush();
  return &out_;
}

void session::push(std::string_view message) {
  base::chunk_queue* const out = push_target();
  if (out == nullptr) return;
  if (newest_hold_ != ended_holds_) {
    if (held_pushes_.empty() || held_pushes_.back().hold != newest_hold_)
      held_pushes_.push_back({newest_hold_, {}});
    held_pushes_.back().bytes += message;
    stashed_bytes_ += message.size();
    return;
  }
  try {
    if (protocol_ == resp::protocol::resp2) {
      out->append("*");
      message.remove_prefix(1);
    }
    out->append(message);
  } catch (const std::bad_alloc&) {
    close_unread(metrics::close_reason::memory);  // it has a part of the message
  }
}

// As Redis does since 7.2 (networking.c, _addReplyToBufferOrList: pending_push_messages).
void session::hold_pushes_behind_newest() {
  if (tail_ == nullptr || tail_->holds_pushes_) return;
  tail_->holds_pushes_ = true;
  ++newest_hold_;
}

void session::resume_after_pause() {
  if (!is_paused(pause_reason::client_pause)) return;
  last_active_ = context_.now;  // it was not the one who was silent
  unpause(pause_reason::client_pause);
}

void session::release_pushes() {
  ++ended_holds_;
  if (held_pushes_.empty() || held_pushes_.front().hold != ended_holds_) return;
  out_.append(held_pushes_.front().bytes);
  stashed_bytes_ -= held_pushes_.front().bytes.size();
  held_pushes_.erase(held_pushes_.begin());
}

// A command that may block waits on purpose.
void session::note_slow(operation& op) {
  using namespace std::chrono;
  if (op.command_ == no_command) return;
  const command::command_spec& spec = command::command_table()[op.command_];
  if (spec.flags.find_first_of("bS") != std::string_view::npos) return;
  slow_entry entry;
  entry.id = context_.daemon.last_slow_id.fetch_add(1);
  entry.time = duration_cast<seconds>(system_clock::now().time_since_epoch()).count();
  entry.micros = duration_cast<microseconds>(context_.now - op.arrived_).count();
  entry.bus_micros = duration_cast<microseconds>(context_.last_bus_time(op.arrived_)).count();
  if (op.arguments_) {
    entry.arguments = std::move(*op.arguments_);
  } else {
    entry.arguments.emplace_back(spec.name);
  }
  entry.address = peer_address();
  if (names_) entry.client_name = names_->client;
  context_.slow->add(std::move(entry));
}

}  // namespace dualbus::session
