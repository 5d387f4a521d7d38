#pragma once

#include <dualbus/backend/subscriber.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace dualbus::operation {

/// The subscriptions of one worker's clients, and the names that the buses must be asked for. A name is
/// wanted while a client is subscribed to it, or while it is held because a subscription is on its way.
class subscription_table {
 public:
  using client_id = std::uint64_t;
  using kind = backend::subscription;
  /// The clients, each with the number of the subscription.
  using client_set = std::unordered_map<client_id, std::uint64_t>;

  /// True if the name was not wanted before.
  bool hold(kind k, std::string_view name);
  /// Ends one hold(); true if the name is not wanted any more.
  bool release(kind k, std::string_view name);

  /// For a name that is held. False if the client was subscribed already.
  bool subscribe(client_id client, kind k, std::string_view name);
  struct removal {
    bool was_subscribed = false;
    bool last = false;  ///< the name is not wanted any more
  };
  removal unsubscribe(client_id client, kind k, std::string_view name);

  /// The names that the client is subscribed to, in the order of its subscriptions.
  std::vector<std::string> names_of(client_id client, kind k) const;
  std::size_t count_of(client_id client, kind k) const;
  /// Null if nobody is subscribed. Valid until the next change.
  const client_set* receivers(kind k, std::string_view name) const;

  std::size_t clients() const { return clients_.size(); }
  std::size_t names(kind k) const { return entries_[static_cast<std::size_t>(k)].size(); }
  bool empty() const { return names(kind::channel) + names(kind::pattern) + names(kind::shard) == 0; }
  /// Every name that is wanted; `visit` changes nothing.
  template <typename Visitor>
  void for_each(Visitor&& visit) const {
    for (std::size_t k = 0; k < backend::subscription_kinds; ++k) {
      for (const auto& [name, e] : entries_[k]) visit(static_cast<kind>(k), name);
    }
  }

 private:
  struct entry {
    client_set clients;
    std::size_t held = 0;
    bool wanted() const { return held > 0 || !clients.empty(); }
  };
  struct string_hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  using entries = std::unordered_map<std::string, entry, string_hash, std::equal_to<>>;
  // By the subscription's number; a client may have very many.
  using lists = std::array<std::map<std::uint64_t, std::string>, backend::subscription_kinds>;

  entries& of(kind k) { return entries_[static_cast<std::size_t>(k)]; }
  bool erase_if_unwanted(kind k, entries::iterator at);

  std::array<entries, backend::subscription_kinds> entries_;
  std::unordered_map<client_id, lists> clients_;
  std::uint64_t next_ = 0;
};

}  // namespace dualbus::operation
