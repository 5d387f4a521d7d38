#pragma once

#include <dualbus/backend/pipeline.hpp>
#include <dualbus/session/timer_queue.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace dualbus::session {

class worker_context;

/// How many keys the buses have, by the client's number of the database.
class keyspace_figures {
 public:
  /// Adds what one bus says in INFO keyspace. Its database `first` is 0 of `databases` that clients know;
  /// others are not theirs. Lines that make no sense are passed over.
  void add(std::string_view info, int first, int databases);

  /// The section as INFO shows it, in the words of Redis 7.0. The average time to live is over the keys that
  /// have one.
  std::string section() const;

 private:
  struct figures {
    std::uint64_t keys = 0, expires = 0;
    double summed_ttl = 0;  // milliseconds
  };
  std::map<int, figures> databases_;
};

/// Asks every bus that can be counted on for INFO keyspace, and calls `done` once: when all have answered, or
/// after a second, with what is known then. Owns itself.
class keyspace_survey final : public backend::reply_sink {
 public:
  using handler = std::function<void(const keyspace_figures&)>;

  static void start(worker_context& context, handler done);

  void on_reply(std::uint32_t bus, const backend::reply_view& reply) override;
  void on_failure(std::uint32_t bus, backend::failure why) override;
  bool abandoned() const override { return false; }

 private:
  keyspace_survey(worker_context& context, handler done);
  void ask();
  void count_down();
  void tell();

  worker_context& context_;
  handler done_;
  keyspace_figures found_;
  std::size_t outstanding_ = 1;
  std::optional<timer_queue::id> timer_;
};

}  // namespace dualbus::session
