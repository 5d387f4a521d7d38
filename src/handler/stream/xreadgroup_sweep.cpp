#include "xreadgroup.hpp"

#include <dualbus/command/command_table.hpp>
#include <dualbus/resp/reply_reader.hpp>

#include <algorithm>
#include <string>
#include <utility>

namespace dualbus::handler {

using command::bus_index;

std::vector<group_read_operation::ask> group_read_operation::all_of(std::size_t key) const {
  std::vector<ask> result;
  for (std::size_t bus = 0; bus < env_.buses.count(); ++bus) {
    const auto index = static_cast<bus_index>(bus);
    if (has(keys_[key], index)) result.push_back({key, index});
  }
  return result;
}

// Old messages come first; among the other buses none is always the last to be asked.
void group_read_operation::order(std::vector<bus_index>& buses) const {
  const auto active =
      std::stable_partition(buses.begin(), buses.end(), [this](bus_index bus) { return is_draining(bus); });
  const auto count = buses.end() - active;
  if (count > 1) std::rotate(active, active + env_.buses.next_rotation() % count, buses.end());
}

base::task<> group_read_operation::sweep(const std::vector<ask>& where) {
  failed_.clear();
  ended_.clear();
  extended_ = false;
  sweeps_.assign(keys_.size(), {});
  for (const ask& a : spared_) sweeps_[a.key].answered = true;
  for (const ask& a : where) {
    if (!views_.empty())
      views_[a.key] = streams_.polls.look(keys_[a.key].name, keys_[a.key].only, reads_in_order());
    if (streams_.parking.serves_groups(a.bus)) {
      sweeps_[a.key].left.push_back(a.bus);
    } else {
      failed_.push_back({static_cast<std::uint32_t>(a.key), a.bus});
    }
  }
  // When no bus can be counted on, all are asked nevertheless: the request waits for them a while. A bus that
  // need not be asked can be counted on.
  if (spared_.empty() && failed_.size() == where.size() && last_event() == event::wake && targets().empty()) {
    for (const ask& a : where) sweeps_[a.key].left.push_back(a.bus);
    failed_.clear();
  }
  for (key_sweep& s : sweeps_) order(s.left);
  co_await sweep_left();
  // When keys are read together, every attempt finds the next missing group.
  for (std::size_t i = 0; i < (together_ ? keys_.size() : 1); ++i) {
    for (std::size_t key = 0; key < keys_.size(); ++key) {
      if (!sweeps_[key].missing.empty()) co_await make_missing(key);
    }
    co_await sweep_left();
  }
  for (std::size_t key = 0; key < keys_.size(); ++key) {
    // The group was destroyed while it was being made.
    if (!sweeps_[key].missing.empty() && !sweeps_[key].answered) note_absence(key);
    if (!keys_[key].always) keys_[key].chosen = keys_[key].found.cut(0);
  }
}

// With COUNT, one bus is read after the other, so that never more is taken than was asked for.
base::task<> group_read_operation::sweep_left() {
  if (together_) {
    co_await sweep_together();
    co_return;
  }
  for (;;) {
    asked_.clear();
    for (std::size_t key = 0; key < keys_.size(); ++key) {
      key_sweep& s = sweeps_[key];
      while (!s.left.empty() && (request_.count == 0 || s.taken < request_.count)) {
        const bus_index bus = s.left.front();
        s.left.erase(s.left.begin());
        const std::uint64_t most = request_.count == 0 ? 0 : request_.count - s.taken;
        asked_.push_back({key, bus, most});
        note_asking(key, bus);
        send_read(key, bus, ">", most);
        if (request_.count != 0) break;
      }
    }
    if (asked_.empty()) co_return;
    const parts all = co_await round();
    for (std::size_t i = 0; i < all.size(); ++i) judge(asked_[i], all[i]);
    // A bus that has used up the time must not keep the entries of the others from the client.
    if (!time_is_over() || std::exchange(extended_, true)) continue;
    extend_clock();
    const auto is_silent = [&](bus_index bus) {
      return std::any_of(all.begin(), all.end(), [bus](const part& p) { return p.bus == bus && p.failed; });
    };
    for (std::size_t key = 0; key < keys_.size(); ++key) {
      // The bus was not asked, so nothing is known of it.
      for (const bus_index bus : sweeps_[key].left) {
        if (is_silent(bus)) failed_.push_back({static_cast<std::uint32_t>(key), bus});
      }
      std::erase_if(sweeps_[key].left, is_silent);
    }
  }
}

base::task<> group_read_operation::sweep_together() {
  asked_.clear();
  const bool failed = std::any_of(sweeps_.begin(), sweeps_.end(), [](const key_sweep& s) { return s.error; });
  for (std::size_t key = 0; key < keys_.size(); ++key) {
    if (!sweeps_[key].left.empty() && !failed) {
      asked_.push_back({key, sweeps_[key].left.front(), request_.count});
    }
    sweeps_[key].left.clear();
  }
  if (asked_.empty()) co_return;
  const std::string count = std::to_string(request_.count);
  std::vector<std::string_view> args = read_words(count);
  args.emplace_back("STREAMS");
  for (const ask& a : asked_) args.push_back(keys_[a.key].name);
  args.insert(args.end(), asked_.size(), ">");
  for (const ask& a : asked_) note_asking(a.key, a.bus);
  send(asked_[0].bus, args);
  const parts all = co_await round();
  const auto names_the_key = [&](const ask& a) {
    return all[0].reply == "-" + no_group_text(a.key) + "\r\n";
  };
  const auto missing = std::find_if(asked_.begin(), asked_.end(), names_the_key);
  for (const ask& a : asked_) {
    if (missing == asked_.end()) {
      judge(a, all[0]);
    } else if (&a == &*missing) {
      sweeps_[a.key].missing.push_back(a.bus);
    } else {
      sweeps_[a.key].left.push_back(a.bus);
    }
  }
}

void group_read_operation::add_together(std::string_view reply) {
  resp::reply_reader reader(reply);
  const resp::reply_value keys = reader.next();
  for (std::size_t left = keys.elements; left > 0; --left) {
    if (keys.type == '*') reader.next();  // the pair
    const std::string_view name = reader.next().text;
    const auto asked = std::find_if(asked_.begin(), asked_.end(),
                                    [&](const ask& a) { return a.found == 0 && keys_[a.key].name == name; });
    if (asked == asked_.end()) return;
    asked->found = keys_[asked->key].found.add_as_is(reader);
    sweeps_[asked->key].taken += asked->found;
  }
}

std::vector<std::string_view> group_read_operation::read_words(const std::string& count) const {
  std::vector<std::string_view> words = {"XREADGROUP", "GROUP", group_, consumer_};
  if (request_.count != 0) words.insert(words.end(), {"COUNT", count});
  if (request_.no_ack) words.emplace_back("NOACK");
  return words;
}

void group_read_operation::note_asking(std::size_t key, bus_index bus) {
  const auto seen = note_sending(key, bus);
  if (!seen_[key].empty()) seen_[key][bus] = seen;
  if (views_.empty()) return;
  streams_.polls.see_again(views_[key], keys_[key].name, bus, seen);
  streams_.polls.asked(poll_of(key), bus);
}

void group_read_operation::send_read(std::size_t key, bus_index bus, std::string_view id,
                                     std::uint64_t count) {
  const std::string limit = std::to_string(count);
  std::vector<std::string_view> args = read_words(limit);
  args.insert(args.end(), {"STREAMS", keys_[key].name, id});
  send(bus, args);
}

bool group_read_operation::take_reply(std::uint32_t index, std::string_view reply) {
  if (index >= asked_.size()) return false;
  if (together_) {
    add_together(reply);
    return true;
  }
  ask& asked = asked_[index];
  stream::entry_merge& found = keys_[asked.key].found;
  const std::size_t omitted = found.omitted();
  asked.found = add_entries(keys_[asked.key], asked.bus, reply);
  asked.omitted = found.omitted() - omitted;
  sweeps_[asked.key].taken += asked.found - asked.omitted;
  return true;
}

// A bus that cannot be asked, or refuses for reasons of its own, is left to the next read. So is a read that
// was lost where no entries were expected: elsewhere entries may have been delivered with it, and are
// pending.
bool group_read_operation::counts_as_down(const part& answer, std::size_t key) const {
  if (!answer.failed) return is_unavailable(answer.reply);
  if (answer.failed == backend::failure::bus_down) return true;
  const auto& looked = targets();  // empty unless it has waited
  return std::any_of(looked.begin(), looked.end(), [&](const parking_lot::target& t) {
    return t.source == key && t.bus == answer.bus && !t.expected;
  });
}

void group_read_operation::judge(const ask& asked, const part& answer) {
  key_sweep& s = sweeps_[asked.key];
  if (!answer.is_error()) {
    s.answered = true;
    // Redis skips deleted entries, so fewer entries are all that were left (t_stream.c,
    // streamReplyWithRange).
    const bool all = asked.most == 0 || asked.found < asked.most;
    if (all) ended_.push_back({static_cast<std::uint32_t>(asked.key), asked.bus});
    if (all && !views_.empty()) {
      streams_.polls.reached_end(poll_of(asked.key), asked.bus, views_[asked.key]);
    }
    // There may be more entries behind those that are left out of the reply.
    if (asked.omitted > 0) failed_.push_back({static_cast<std::uint32_t>(asked.key), asked.bus});
  } else if (counts_as_down(answer, asked.key)) {
    note_down(asked.key, asked.bus, answer);
  } else if (!is_no_group(answer.reply)) {
    note_error(asked.key, answer);
  } else if (!is_draining(asked.bus) || is_whole(keys_[asked.key])) {
    s.missing.push_back(asked.bus);
  }
}

void group_read_operation::note_down(std::size_t key, bus_index bus, const part& answer) {
  failed_.push_back({static_cast<std::uint32_t>(key), bus});
  if (!sweeps_[key].down) sweeps_[key].down = answer;
}

// The group cannot be made, or not be looked for, on the buses that lack it: they are as good as down.
void group_read_operation::note_unmade(std::size_t key, const part& problem) {
  if (!counts_as_down(problem, key)) return note_error(key, problem);
  for (const bus_index bus : sweeps_[key].missing) note_down(key, bus, problem);
}

void group_read_operation::note_error(std::size_t key, const part& answer) {
  if (!sweeps_[key].error) sweeps_[key].error = answer;
}

void group_read_operation::note_absence(std::size_t key) {
  part absent{sweeps_[key].missing.empty() ? anchor() : sweeps_[key].missing.front(), {}, {}};
  absent.reply = "-" + no_group_text(key) + "\r\n";
  note_error(key, absent);
}

// Whether a group that exists nowhere is to be made. The daemon does nothing that its client may not do: a
// user that may read with groups need not be allowed to make any.
bool group_read_operation::makes_group(std::size_t key) const {
  const std::string_view name = keys_[key].name;
  const auto& rule = env_.configuration().missing_group.of(name, group_);
  if (rule.action == config::missing_group_action::error || owner_ == nullptr) return false;
  const std::string_view create[] = {"XGROUP", "CREATE", name, group_, rule.start, "MKSTREAM"};
  const auto command = static_cast<std::uint16_t>(command::find_command(create[0]));
  return rights_.denial_of(*owner_, command, create).empty();
}

// Makes the group where it is missing if it exists on some bus, and everywhere if makes_group() says so.
base::task<> group_read_operation::make_missing(std::size_t key) {
  const std::string_view name = keys_[key].name;
  const bool whole = is_whole(keys_[key]);
  key_sweep& s = sweeps_[key];
  if (!whole) {
    const healing healed = co_await heal(name, group_, s.missing);
    if (healed.problem || healed.exists) {
      if (healed.problem) note_unmade(key, *healed.problem);
      if (healed.exists) s.left = s.missing;
      s.missing.clear();
      co_return;
    }
  }
  const auto& rule = env_.configuration().missing_group.of(name, group_);
  if (!makes_group(key)) {
    note_absence(key);
    keep_absence(key);
    s.missing.clear();
    co_return;
  }
  const std::string start = rule.start;
  const std::optional<part> problem = co_await create_missing(name, group_, start, keys_[key].only);
  if (problem) note_unmade(key, *problem);
  s.missing.clear();
  if (problem) co_return;
  for (const ask& a : all_of(key)) s.left.push_back(a.bus);
  order(s.left);
}

void group_read_operation::keep_absence(std::size_t key) {
  if (views_.empty()) return;
  stream::bus_set buses = 0;
  for (const ask& a : all_of(key)) {
    const bool decides = is_whole(keys_[key]) || a.bus == anchor() || is_draining(a.bus);
    if (decides) buses |= stream::bus_set{1} << a.bus;
  }
  streams_.polls.found_no_group(poll_of(key), buses, views_[key]);
}

bool group_read_operation::answer_first_error() {
  for (const key_sweep& s : sweeps_) {
    if (s.error) {
      answer_error(*s.error);
      return true;
    }
    if (s.down && !s.answered) {
      answer_error(*s.down);
      return true;
    }
  }
  return false;
}

}  // namespace dualbus::handler
