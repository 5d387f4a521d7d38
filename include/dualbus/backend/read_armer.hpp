#pragma once

#include <dualbus/backend/bus.hpp>

#include <cstdint>
#include <optional>
#include <string_view>

namespace dualbus::backend {

/// Arms keys in front of reads, on the shared connection of one worker's reads to one bus: CLIENT TRACKING
/// lets the bus announce to the watcher what this connection arms, with CLIENT CACHING YES and EXISTS.
/// Nothing else on the connection is tracked (OPTIN). A bus that refuses any of it is asked again after
/// `patience`.
class read_armer {
 public:
  static constexpr std::chrono::seconds patience{10};

  class listener {
   public:
    /// `ready`: armings can be sent from now on. Otherwise none can, and those already sent may count for
    /// nothing.
    virtual void on_armer(command::bus_index bus, bool ready) = 0;
    /// `done`: the bus has armed the key.
    virtual void on_armed_in_front(command::bus_index bus, std::uint32_t key, bool done) = 0;

   protected:
    ~listener() = default;
  };

  /// Both outlive the armer.
  read_armer(bus& target, command::bus_index index, listener& told);

  /// To be called often: `version` is that of the connection, no value if there are no reads; `watcher` the
  /// CLIENT ID of the watcher's connection, 0 while it has none.
  void tick(std::optional<resp::protocol> version, std::int64_t watcher, base::time_point now);
  /// Arms the key for everything that is sent on the connection from now on. Only while it is ready.
  void arm(std::string_view key, std::uint32_t number, base::time_point now);

 private:
  enum class step : std::uint8_t { tracking, caching, exists };
  struct sink final : reply_sink {
    sink(read_armer& of, step which) : owner(of), sent(which) {}
    void on_reply(std::uint32_t part, const reply_view& reply) override {
      owner.on_answer(sent, part, &reply);
    }
    void on_failure(std::uint32_t part, failure) override { owner.on_answer(sent, part, nullptr); }
    bool abandoned() const override { return false; }
    read_armer& owner;
    step sent;
  };
  struct pair_of_connections {
    std::uint64_t reads = 0;
    std::int64_t watcher = 0;
    bool operator==(const pair_of_connections&) const = default;
  };

  /// `reply`: null if there is none.
  void on_answer(step answered, std::uint32_t part, const reply_view* reply);
  void set_ready(bool ready);
  void note_refusal(const reply_view* reply);

  bus& bus_;
  const command::bus_index index_;
  listener& told_;
  sink tracking_{*this, step::tracking}, caching_{*this, step::caching}, exists_{*this, step::exists};
  std::optional<resp::protocol> version_;
  pair_of_connections of_;   // the bus was told of these
  std::uint32_t asked_ = 0;  // the number of the last CLIENT TRACKING
  std::optional<base::time_point> next_try_;
  bool ready_ = false, refused_ = false;
  bool said_ = false;  // that it was refused, since it last worked
  bool may_ = false;   // the last CLIENT CACHING was answered with OK
};

}  // namespace dualbus::backend
