#pragma once

#include "latency_histogram.hpp"
#include "message.hpp"

#include <dualbus/base/clock.hpp>

#include <array>
#include <cstdint>
#include <deque>
#include <vector>

namespace dualbus::fleet {

/// Every message on its way: who should get it, and who did. A message that all have got is forgotten, so the
/// memory is that of the messages in flight.
class ledger {
 public:
  /// `readers[stream]`: the groups that should get each message of the stream, a bit for each.
  explicit ledger(std::vector<std::uint32_t> readers);

  /// A message is about to be sent; the result is its index on its stream.
  std::uint64_t publish(std::size_t stream, message_type type, base::time_point now);
  /// The message was stored: every group is owed it now.
  void acknowledge(std::size_t stream, std::uint64_t index);
  /// The message was refused: nobody may get it.
  void refuse(std::size_t stream, std::uint64_t index);
  /// The connection was lost before the answer: nobody is owed the message until somebody gets it; then all
  /// are.
  void lose_answer(std::size_t stream, std::uint64_t index);

  enum class verdict {
    first,      ///< the first time for this group
    duplicate,  ///< it has had it, or the message is forgotten
    wrong       ///< of another type, never published, refused, or for a group that does not read the stream
  };
  struct delivery {
    verdict what;
    base::time_point published;  ///< for `first`
  };
  /// True if the group has had the message, which may be forgotten since.
  bool has(std::size_t stream, std::uint64_t index, std::size_t group) const;
  delivery deliver(std::size_t stream, std::uint64_t index, message_type type, std::size_t group);

  /// Deliveries that are still owed.
  std::uint64_t owed() const { return owed_; }

  struct totals {
    std::uint64_t acknowledged = 0, refused = 0, answers_lost = 0;
    std::uint64_t delivered = 0, duplicates = 0, wrong = 0;
  };
  const totals& counts() const { return totals_; }
  std::uint64_t published(bus_class bus) const { return published_[static_cast<std::size_t>(bus)]; }

  /// The messages that are owed, by stream and group.
  struct debt {
    std::size_t stream, group;
    std::uint64_t messages;
  };
  std::vector<debt> debts() const;

 private:
  enum class state : std::uint8_t { sent, acknowledged, refused, answer_lost };
  struct record {
    base::time_point published;
    std::uint32_t delivered;  // a bit for each group
    message_type type;
    state status;
  };
  struct stream_records {
    std::uint32_t readers;
    std::uint64_t first = 0;  // index of records.front(); those below are done with
    std::deque<record> records;
  };

  record* find(std::size_t stream, std::uint64_t index);
  void owe(const stream_records& s, record& r);
  void forget_done(stream_records& s);

  std::vector<stream_records> streams_;
  totals totals_;
  std::array<std::uint64_t, bus_classes> published_{};
  std::uint64_t owed_ = 0;
};

}  // namespace dualbus::fleet
