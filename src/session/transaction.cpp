#include "leftovers.hpp"

#include <dualbus/session/session.hpp>
#include <dualbus/session/transaction.hpp>
#include <dualbus/session/worker_context.hpp>

#include <charconv>
#include <memory>
#include <utility>

namespace dualbus::session {
namespace {

// The cost of a queued request besides its bytes: the operation that it becomes.
constexpr std::size_t request_overhead = 256;

void append_header(base::read_buffer& out, char type, std::size_t number) {
  char text[32];
  text[0] = type;
  char* end = std::to_chars(text + 1, text + sizeof text - 2, number).ptr;
  *end++ = '\r';
  *end++ = '\n';
  out.append({text, end});
}

}  // namespace

bool transaction::add(resp::arguments args, std::string_view raw, bool verbatim, std::size_t limit) {
  std::size_t bytes = raw.size();
  if (!verbatim) {
    bytes = 0;
    for (const std::string_view arg : args) bytes += arg.size();
  }
  if (requests_.size() + bytes + (count_ + 1) * request_overhead > limit) return false;
  ++count_;
  if (verbatim) {
    requests_.append(raw);
    return true;
  }
  append_header(requests_, '*', args.size());
  for (const std::string_view arg : args) {
    append_header(requests_, '$', arg.size());
    requests_.append(arg);
    requests_.append("\r\n");
  }
  return true;
}

void transaction::spoil() {
  spoiled_ = true;
  requests_.release();
  plain_.clear();
  count_ = 0;
}

void transaction::note_plain(plain_request what, std::string_view raw, std::string_view key,
                             std::uint64_t routing) {
  if (plain_.size() + 1 != count_ || (count_ > 1 && routing != routing_)) return;
  routing_ = routing;
  if (key.data() != nullptr) {
    what.changes = true;
    const std::size_t in_raw = static_cast<std::size_t>(key.data() - raw.data());
    what.key_at = static_cast<std::uint32_t>(requests_.size() - raw.size() + in_raw);
    what.key_bytes = static_cast<std::uint32_t>(key.size());
  }
  plain_.push_back(what);
}

void transaction::begin_changes(stream::key_changes& changes) {
  std::string_view begun;  // most transactions change one key, over and over
  for (const plain_request& p : plain_) {
    const std::string_view key = key_of(p);
    if (!p.changes || (begun.data() != nullptr && key == begun)) continue;
    changes_.emplace_back().add(changes, key, bus_);
    begun = key;
  }
}

void transaction::note_bus(command::bus_index bus) {
  crosses_ |= bus == command::no_bus || (bus_ != command::no_bus && bus != bus_);
  bus_ = bus;
}

void transaction::clear(std::size_t keep) {
  unwatch();
  requests_.consume(requests_.size());
  if (requests_.capacity() > keep) requests_.release();
  plain_.clear();
  changes_.clear();
  count_ = 0;
  logins_ = 0;
  bus_ = command::no_bus;
  spoiled_ = crosses_ = lost_ = selects_ = writes_ = false;
}

void transaction::watch_over(backend::link& link, command::bus_index bus, std::uint8_t database,
                             std::uint64_t routing) {
  link_ = &link;
  watched_under_ = routing;
  watching_database_ = database;
  watched_bus_ = bus;
  connection_ = 0;
}

void transaction::watching() {
  const std::uint64_t number = link_->requests.connection_number();
  lost_ |= connection_ != 0 && connection_ != number;
  connection_ = number;
  link_->requests.set_outlasting(false);
}

void transaction::lose_watch() {
  lost_ |= connection_ != 0;
  connection_ = 0;
  if (link_ == nullptr) return;
  // Closed: nobody knows what it watches, or whether it answers.
  context_.bus(watched_bus_).dedicated().release(*take_link(), false, context_.now);
}

bool transaction::has_lost_watch(std::uint64_t routing) const {
  if (lost_ || link_ == nullptr) return lost_;
  return connection_ == 0 || routing != watched_under_ || !link_->requests.connected() ||
         link_->requests.connection_number() != connection_;
}

void transaction::unwatch() {
  connection_ = 0;
  if (link_ == nullptr) return;
  backend::link* const link = take_link();
  give_back(context_.bus(watched_bus_).dedicated(), *link,
            {.watch = true, .database = watching_database_ != link->database},
            context_.configuration().buses[watched_bus_].database, context_.now);
}

backend::link* transaction::take_link() {
  return std::exchange(link_, nullptr);
}

// ------------------------------------------------------------------------------------- of a session

transaction& session::open_transaction() {
  if (!transaction_) transaction_ = context_.transactions.take_transaction();
  return *transaction_;
}

void session::begin_transaction() {
  open_transaction().begin(database_, context_.routing_number());
  in_transaction_ = true;
  only_acknowledged_ = head_ == nullptr && out_.empty();
}

std::unique_ptr<transaction> session::take_transaction() {
  in_transaction_ = false;
  return std::move(transaction_);
}

void session::end_transaction() {
  in_transaction_ = false;
  if (transaction_) context_.transactions.give_transaction(std::move(transaction_));
}

local_operation& session::reserve(std::uint16_t command) {
  local_operation* const place = context_.locals.create(context_, *this, command);
  enqueue(*place);
  return *place;
}

void session::abandon(local_operation& place) {
  place.done_ = true;
}

void session::silence(operation& first, operation& last) {
  for (operation* op = &first; op != &last;) {
    op = op->next_;
    op->muted_ = true;
    if (op->done_) stashed_bytes_ -= op->stash_.size();
    op->stash_.clear();
  }
}

}  // namespace dualbus::session
