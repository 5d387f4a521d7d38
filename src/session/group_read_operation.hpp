#pragma once

#include "reads.hpp"

#include <dualbus/session/poll_absorber.hpp>
#include <dualbus/session/waiting_read.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dualbus::session {

/// XREADGROUP. New entries are swept from one bus after the other, unless it is known that there are none, or
/// waited for in the parking; the consumer's own pending ones come merged from all buses.
class group_read_operation final : public waiting_read, private spared_poll {
 public:
  group_read_operation(worker_context& context, session& owner, std::uint16_t command,
                       stream::read_request what);

 protected:
  base::task<> run() override;
  bool take_reply(std::uint32_t index, std::string_view reply) override;

 private:
  struct ask {
    std::size_t key;
    command::bus_index bus;
    std::uint64_t most = 0;  // entries that it asks for; 0: all
    std::uint64_t found = 0;
    std::uint64_t omitted = 0;  // of these, without a client form
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
  base::task<> wait();
  /// How the bus of a pinned stream says that a wait has ended with the error that was found; empty: like
  /// that.
  base::task<std::string_view> words_of_the_bus();
  void answer_found();
  std::string no_group_text(std::size_t key) const;

  // --- without a bus
  // ------------------------------------------------------------------------------------------------

  /// True if answers are kept at all.
  bool may_be_known() const;
  /// What need not be asked moves from `where` to `spared_`. `all`: `where` has every key of the request.
  void spare(std::vector<ask>& where, bool all);
  /// Until the buses of `spared_` have announced all that happened before.
  base::task<> confirm_spared();
  void count_spared();
  base::task<> answer_spared();
  void answer_nothing();
  poll_absorber::poll poll_of(std::size_t key) const { return {keys_[key].name, group_, consumer_}; }
  void on_confirmed() override { resume(); }
  void on_news() override;
  void on_abandoned() override;

  // --- new entries
  // --------------------------------------------------------------------------------------------------

  base::task<> sweep(const std::vector<ask>& where);
  base::task<> sweep_left();
  /// Within EXEC: what one round brings, and nothing is made that is missing.
  base::task<> read_in_exec();
  /// `all`: what the buses have of the key's own entries; none behind `last` is shown.
  void finish_history(std::size_t key, const parts& all, std::optional<stream::client_id> last);
  /// Streams that share their one bus are read by one command, as by Redis: with its order of errors.
  base::task<> sweep_together();
  void add_together(std::string_view reply);
  base::task<> make_missing(std::size_t key);
  std::vector<ask> all_of(std::size_t key) const;
  void order(std::vector<command::bus_index>& buses) const;
  std::vector<std::string_view> read_words(const std::string& count) const;
  void send_read(std::size_t key, command::bus_index bus, std::string_view id, std::uint64_t count);
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
  // --------------------------------------------------------------------------------------------------

  base::task<> read_history(std::size_t key);

  std::string_view group_, consumer_;
  std::vector<key_sweep> sweeps_;           // by key
  std::vector<ask> asked_;                  // by part of the present round, as far as entries are expected
  std::vector<ask> spared_;                 // what need not be asked
  std::optional<std::size_t> absent_;       // the key of which it is known that there is no such group
  std::vector<poll_absorber::view> views_;  // by key, from before it was asked; empty: no answer is kept
  std::vector<parking_lot::target> failed_;
  bool together_ = false, extended_ = false;
};

}  // namespace dualbus::session
