#pragma once

#include <dualbus/resp/encoder.hpp>
#include <dualbus/stream/bounds.hpp>
#include <dualbus/stream/entry_id.hpp>

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dualbus::stream {

/// One element of a reply to XCLAIM or XAUTOCLAIM: an entry, or with JUSTID its ID alone.
struct claimed {
  client_id id;
  bool only_id;
  std::string_view fields;  ///< encoded
};
void write_claims(const std::vector<claimed>& claims, resp::encoder& out, base::chunk_queue& raw);

/// Brings the answers of several buses to one XCLAIM into the order of the request's IDs. The replies given
/// to add() must stay where they are until the result is written.
class claim_merge {
 public:
  void add(std::string_view reply, int slot);
  bool empty() const { return parts_.empty(); }
  /// The claimed entries, in the order of `ids`, each as often as its bus answered it.
  std::vector<claimed> in_order_of(const std::vector<client_id>& ids) const;

 private:
  struct part {
    int slot;
    std::vector<claimed> claims;
  };
  std::vector<part> parts_;  // without empty ones
};

/// XAUTOCLAIM over several buses: one bus after the other, each with what is left of COUNT, and the cursor
/// that goes on where something is left.
///
///   while (auto step = walk.next()) { ask bus number step->bus; then take(), skip() or stop() }
///   walk.write(…)
///
/// A bus that has scanned as much as it is willing to without filling COUNT does not end the walk: clients
/// that always begin at 0-0 would never reach the buses behind it.
class autoclaim_walk {
 public:
  struct step {
    std::size_t bus;  ///< index in the `slots` given
    std::string start;
    std::uint64_t count;
  };

  /// `slots` of the buses, ascending. `count` is not 0.
  autoclaim_walk(std::vector<int> slots, const bound<client_id>& start, std::uint64_t count);

  /// The next question; nothing when the walk is over.
  std::optional<step> next();
  /// Takes the bus's answer. Returns how many claimed entries are left out because they have no client form.
  std::size_t take(std::string reply);
  /// The bus has nothing, because it does not have the group.
  void skip() { ++at_; }
  /// The bus does not answer: the walk ends, and its cursor leads there.
  void stop();

  bool empty() const { return claims_.empty() && deleted_.empty(); }
  void write(resp::encoder& out, base::chunk_queue& raw) const;

 private:
  std::string start_here() const;

  std::vector<int> slots_;
  bound<client_id> start_;
  std::uint64_t left_;
  std::size_t at_ = 0;
  std::optional<client_id> next_;
  std::deque<std::string> replies_;
  std::vector<claimed> claims_;
  std::vector<client_id> deleted_;
};

}  // namespace dualbus::stream
