#include <dualbus/base/socket.hpp>
#include <dualbus/client/session.hpp>
#include <dualbus/command/command_table.hpp>

#include <chrono>
#include <string>
#include <string_view>

// The description of a session's client: CLIENT LIST and its kin, and the log.
namespace dualbus::client {

std::chrono::seconds session::age() const {
  return std::chrono::duration_cast<std::chrono::seconds>(environment_.turn.now - created_);
}

std::string session::peer_address() const {
  return fd_ ? base::peer_name(fd_.get()) : "?:0";
}

std::string session::local_address() const {
  return fd_ ? base::local_name(fd_.get()) : "?:0";
}

std::string_view session::user_name() const {
  return user_ == nullptr ? default_user : std::string_view(user_->name());
}

session::names& session::mutable_names() {
  if (!names_) names_ = std::make_unique<names>();
  return *names_;
}

void session::rename(std::string& name, std::string_view to) {
  note_own(static_cast<std::ptrdiff_t>(to.size()) - static_cast<std::ptrdiff_t>(name.size()));
  name = to;
}

void session::note_own(std::ptrdiff_t bytes) {
  own_bytes_ += static_cast<std::size_t>(bytes);
  environment_.memory.note_kept(bytes);
}

void session::set_name(std::string_view name) {
  rename(mutable_names().client, name);
  attribution_.set_name(name);
}

std::string session::describe(std::string_view running, std::size_t query_bytes) const {
  const auto seconds_since = [this](base::time_point then) {
    return std::chrono::duration_cast<std::chrono::seconds>(environment_.turn.now - then).count();
  };
  std::string_view last = running;
  if (last.empty())
    last = last_command_ == no_command ? "NULL" : command::command_table()[last_command_].name;
  const std::size_t input = (partial_ ? partial_->buffer.size() : 0) + query_bytes;
  static const names none;
  const names& n = names_ ? *names_ : none;
  std::string flags;
  if (monitoring_) flags += 'O';
  if (subscribed()) flags += 'P';
  if (in_transaction_) flags += 'x';
  if (blocked()) flags += 'b';
  if (leaving()) flags += 'c';
  if (!tcp_) flags += 'U';
  if (!evictable_) flags += 'e';
  if (flags.empty()) flags += 'N';
  return fmt::format(
      "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db={} sub={} psub={} ssub={} multi={} "
      "qbuf={} "
      "qbuf-free=0 argv-mem=0 multi-mem={} rbs=0 rbp=0 obl=0 oll={} omem={} tot-mem={} events=r{} cmd={} "
      "user={} "
      "redir=-1 "
      "resp={} lib-name={} lib-ver={}",
      id_, peer_address(), local_address(), fd_.get(), n.client, seconds_since(created_),
      seconds_since(last_active_), flags, database_, subscriptions_.channels, subscriptions_.patterns,
      subscriptions_.shard_channels, in_transaction_ ? static_cast<std::int64_t>(transaction_->count()) : -1,
      input, transaction_ ? transaction_->bytes() : 0, replies_.out().empty() ? 0 : 1,
      replies_.waiting_bytes(), sizeof(session) + query_bytes + memory(), writing_ ? "w" : "", last,
      user_name(), static_cast<int>(protocol_), n.library, n.library_version);
}

}  // namespace dualbus::client
