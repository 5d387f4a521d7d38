#include <dualbus/client/session.hpp>
#include <dualbus/operation/leftovers.hpp>
#include <dualbus/operation/transaction.hpp>

#include <charconv>
#include <memory>
#include <utility>

namespace dualbus::operation {
namespace {

// The cost of a queued request besides its bytes: the operation that it becomes.
constexpr std::size_t request_overhead = 256;
constexpr std::size_t most_spares = 64;
constexpr std::size_t spare_bytes = std::size_t{64} << 10;

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

void transaction::note_plain(plain_request plain, std::string_view raw, std::string_view key,
                             std::uint64_t routing) {
  if (plain_.size() + 1 != count_ || (count_ > 1 && routing != routing_)) return;
  routing_ = routing;
  if (key.data() != nullptr) {
    plain.changes = true;
    const std::size_t in_raw = static_cast<std::size_t>(key.data() - raw.data());
    plain.key_at = static_cast<std::uint32_t>(requests_.size() - raw.size() + in_raw);
    plain.key_bytes = static_cast<std::uint32_t>(key.size());
  }
  plain_.push_back(plain);
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
  spoiled_ = crosses_ = lost_ = selects_ = writes_ = confirms_ = false;
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
  // The connection is closed: nobody knows what it watches, or whether it answers.
  env_.buses.bus(watched_bus_).dedicated().release(*take_link(), false, env_.turn.now);
}

// EXEC would write at a place that nobody reads any more. While a WATCH is under way, has_lost_watch() sees
// to that.
void transaction::follow(command::bus_index bus) {
  if (watches() && watched_bus_ == bus && env_.buses.bus(bus).has_left(*link_) && link_->requests.idle())
    lose_watch();
}

bool transaction::has_lost_watch(std::uint64_t routing) const {
  if (lost_ || link_ == nullptr) return lost_;
  return connection_ == 0 || routing != watched_under_ || env_.buses.bus(watched_bus_).has_left(*link_) ||
         !link_->requests.connected() || link_->requests.connection_number() != connection_;
}

void transaction::unwatch() {
  connection_ = 0;
  if (link_ == nullptr) return;
  backend::link* const link = take_link();
  give_back(env_.buses.bus(watched_bus_).dedicated(), *link,
            {.watch = true, .database = watching_database_ != link->database},
            env_.configuration().buses[watched_bus_].database, env_.turn.now);
}

backend::link* transaction::take_link() {
  return std::exchange(link_, nullptr);
}

void transaction::destroy() {
  pool_.give_back(std::unique_ptr<transaction>(this));
}

// -------------------------------------------------------------------------------------------------- the pool

transaction_pool::~transaction_pool() = default;

client::open_transaction::pointer transaction_pool::take() {
  if (spares_.empty()) return client::open_transaction::pointer(new transaction(env_, *this));
  std::unique_ptr<transaction> spare = std::move(spares_.back());
  spares_.pop_back();
  return client::open_transaction::pointer(spare.release());
}

void transaction_pool::give_back(std::unique_ptr<transaction> spare) {
  spare->clear(spare_bytes);
  if (spares_.size() < most_spares) spares_.push_back(std::move(spare));
}

transaction& open_transaction_of(session& client, transaction_pool& pool) {
  if (client.current_transaction() == nullptr) client.set_transaction(pool.take());
  return *transaction_of(client);
}

}  // namespace dualbus::operation
