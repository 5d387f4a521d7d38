#pragma once

#include <dualbus/handler/services.hpp>
#include <dualbus/operation/bus_replies.hpp>
#include <dualbus/operation/poll_absorber.hpp>
#include <dualbus/operation/waiting_read.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dualbus::handler {

/// XREADGROUP. New entries are swept from one bus after the other, unless it is known that there are none, or
/// waited for in the parking lot; the consumer's own pending ones come merged from all buses.
class group_read_operation final : public waiting_read, private spared_poll {
 public:
  group_read_operation(stream_services& services, session& owner, routed_request& request,
                       stream::read_request read);

 protected:
  base::task<> run() override;
  bool take_reply(std::uint32_t index, std::string_view reply) override;

 private:
  struct ask {
    std::size_t key;
    command::bus_index bus;
    std::uint64_t most = 0;  // entries that it asks for; 0: all
    std::uint64_t found = 0;
    std::uint64_t omitted = 0;  // of these, entries without a client form
  };
  /// One key's part of a sweep.
  struct key_sweep {
    std::vector<command::bus_index> left;     // still to be asked
    std::vector<command::bus_index> missing;  // active buses without the group, or the bus of a pinned key
    std::uint64_t taken = 0;
    bool answered = false;      // by any bus
    std::optional<part> error;  // the first
    std::optional<part> down;   // the answer of the first bus that counts as down
  };

  base::task<> answer_fault();
  /// `parked`: false if the wait has ended as it began.
  base::task<> wait(bool parked);
  /// The error text with which the bus of a pinned stream ends a wait; empty if that is the error that was
  /// found.
  base::task<std::string_view> words_of_the_bus();
  void answer_found();
  std::string no_group_text(std::size_t key) const;

  // --- without a bus

  /// True if answers are kept at all.
  bool may_be_known() const;
  /// Moves requests that need not be asked from `where` to `spared_`. `all`: `where` has every key of the
  /// request.
  void spare(std::vector<ask>& where, bool all);
  /// Waits until the buses of `spared_` have announced all that happened before.
  base::task<> confirm_spared();
  void count_spared();
  base::task<> answer_spared();
  void answer_nothing();
  poll_absorber::poll poll_of(std::size_t key) const { return {keys_[key].name, group_, consumer_}; }
  void on_confirmed() override { resume(); }
  void on_news() override;
  void on_abandoned() override;

  // --- new entries

  base::task<> sweep(const std::vector<ask>& where);
  base::task<> sweep_left();
  /// Within EXEC: answers the entries of one round, and makes no missing group.
  base::task<> read_in_exec();
  /// `all`: the buses' replies with the key's own entries; no entry behind `last` is shown.
  void finish_history(std::size_t key, const parts& all, std::optional<stream::client_id> last);
  /// Streams that share their one bus are read by one command, as Redis reads them: with its order of errors.
  base::task<> sweep_together();
  void add_together(std::string_view reply);
  base::task<> make_missing(std::size_t key);
  std::vector<ask> all_of(std::size_t key) const;
  void order(std::vector<command::bus_index>& buses) const;
  std::vector<std::string_view> read_words(const std::string& count) const;
  void send_read(std::size_t key, command::bus_index bus, std::string_view id, std::uint64_t count);
  /// Comes before a read of new entries.
  void note_asking(std::size_t key, command::bus_index bus);
  void judge(const ask& asked, const part& answer);
  bool counts_as_down(const part& answer, std::size_t key) const;
  void note_down(std::size_t key, command::bus_index bus, const part& answer);
  void note_unmade(std::size_t key, const part& problem);
  void note_error(std::size_t key, const part& answer);
  void note_absence(std::size_t key);
  bool makes_group(std::size_t key) const;
  void keep_absence(std::size_t key);
  bool any_found() const;
  bool answer_first_error();

  // --- own entries

  base::task<> read_history(std::size_t key);

  authorization& rights_;
  std::string_view group_, consumer_;
  std::vector<key_sweep> sweeps_;             // by key
  std::vector<ask> asked_;                    // by part of the present round, as far as entries are expected
  std::vector<ask> spared_;                   // requests that need not be sent
  std::optional<std::size_t> absent_;         // the key whose group is known not to exist
  std::vector<poll_absorber::view> views_;    // by key, from before it was asked; empty: no answer is kept
  std::vector<parking_lot::sightings> seen_;  // likewise, for the parking
  std::vector<parking_lot::target> failed_;
  std::vector<parking_lot::target> ended_;  // where the last sweep has come to the end of the stream
  bool together_ = false, extended_ = false;
};

}  // namespace dualbus::handler
