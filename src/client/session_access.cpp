#include <dualbus/base/log.hpp>
#include <dualbus/client/session.hpp>
#include <dualbus/client/slow_log.hpp>
#include <dualbus/command/command_table.hpp>

#include <chrono>
#include <new>
#include <string>
#include <utility>
#include <vector>

// The parts of a session that users, MONITOR, Pub/Sub and SLOWLOG need.
namespace dualbus::client {

void session::set_user(const user& who) {
  user_ = &who;
  logged_in_ = true;
  note_standing();
}

void session::note_standing() {
  standing now = standing::none;
  if (!closed() && environment_.access.restricts()) {
    now = user_ == nullptr ? standing::stranger : user_->administers() ? standing::admin : standing::ordinary;
  }
  if (now == standing_) return;
  if (stranger()) environment_.strangers.remove({stranger_since_, id_});
  environment_.places.change(standing_, now);
  standing_ = now;
  if (!stranger()) return;
  stranger_since_ = environment_.turn.now;
  environment_.strangers.add({stranger_since_, id_});
}

void session::delay_login(base::duration delay) {
  pause(pause_reason::login);
  environment_.turn.timers.add(environment_.turn.now + delay, [&owner = environment_.owner, id = id_] {
    session* const client = owner.find(id);
    if (client == nullptr) return;
    client->login_permit_ = true;
    client->unpause(pause_reason::login);
  });
}

void session::reset() {
  if (subscribed()) environment_.handler.end_subscriptions(*this);
  protocol_ = resp::protocol::resp2;
  replies_.reset_mode();
  database_ = 0;
  end_transaction();
  logged_in_ = monitoring_ = false;
  user_ = environment_.access.initial();
  note_standing();
  if (names_) set_name({});
}

void session::change_users() {
  const access_control& access = environment_.access;
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
// ACLKillPubsubClientsIfNeeded). A client that monitors cannot be told in another way either.
void session::review() {
  if (closed() || leaving_) return;
  if (const std::string right = lost_right(); !right.empty()) {
    base::warn_limited({}, "client {} {}: it may not use {} any more; closing", id_, peer_address(), right);
    return send_away();
  }
  const auto may_not = [this](const std::vector<std::string>& words) {
    return !words.empty() && !environment_.handler.denial_of(*this, words).empty();
  };
  if (transaction_ && user_ == nullptr && environment_.access.restricts()) {
    if (in_transaction_) transaction_->spoil();
    transaction_->lose_watch();
  }
  if (!evictable_) evictable_ = may_not({"CLIENT", "NO-EVICT", "ON"});
  review_wait();
}

void session::review_wait() {
  if (!replies_.owes()) return;
  const auto words = newest()->lasting_request();
  const std::string denial = words.empty() ? std::string() : environment_.handler.denial_of(*this, words);
  if (!denial.empty()) {
    if (newest()->refuse_wait(denial)) ++environment_.metrics.permission_denials;
  } else if (blocked_ && newest()->misplaced()) {
    newest()->unblock(false);
  }
}

void session::follow(command::bus_index bus) {
  if (transaction_) transaction_->follow(bus);
  if (blocked_ && replies_.owes()) newest()->follow(bus);
}

// The command to hear others that the client may not send any more; empty if there is none.
std::string session::lost_right() const {
  for (const std::vector<std::string>& words : environment_.handler.requests_to_hear(*this)) {
    if (!environment_.handler.denial_of(*this, words).empty()) return words[0];
  }
  return {};
}

// The client hears nothing more of others, though it may still wait for what a bus has given it.
void session::send_away() {
  if (subscribed()) environment_.handler.end_subscriptions(*this);
  monitoring_ = false;
  leave(metrics::close_reason::killed);
}

void session::send_monitor_lines(std::string_view lines) {
  // Not before the +OK to MONITOR, and not within a reply that comes in parts.
  if (replies_.owes() || phase_ >= phase::closing) return;
  replies_.push_target().append(lines);
  queue_flush();
}

base::chunk_queue* session::push_target() {
  if (phase_ >= phase::closing) return nullptr;
  queue_flush();
  return &replies_.push_target();
}

void session::push(std::string_view message) {
  if (phase_ >= phase::closing) return;
  queue_flush();
  try {
    replies_.push(protocol_ == resp::protocol::resp2 ? '*' : message[0], message.substr(1));
  } catch (const std::bad_alloc&) {
    close_unread(metrics::close_reason::memory);  // the output has a part of the message
  }
}

void session::resume_after_pause() {
  if (!is_paused(pause_reason::client_pause)) return;
  last_active_ = environment_.turn.now;  // the daemon was silent, not the client
  unpause(pause_reason::client_pause);
}

// A command that may block waits on purpose.
void session::note_slow(running_request& running) {
  using namespace std::chrono;
  if (running.command_ == no_command) return;
  const command::command_spec& spec = command::command_table()[running.command_];
  if (spec.flags.find_first_of("bS") != std::string_view::npos) return;
  slow_entry entry;
  entry.time = duration_cast<seconds>(system_clock::now().time_since_epoch()).count();
  entry.micros = duration_cast<microseconds>(environment_.turn.now - running.arrived_).count();
  entry.bus_micros =
      duration_cast<microseconds>(environment_.times.last_bus_time(running.arrived_, environment_.turn.now))
          .count();
  if (running.arguments_) {
    entry.arguments = std::move(*running.arguments_);
  } else {
    entry.arguments.emplace_back(spec.name);
  }
  entry.address = peer_address();
  if (names_) entry.client_name = names_->client;
  environment_.slow_log.add(std::move(entry));
}

}  // namespace dualbus::client
