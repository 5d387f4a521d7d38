#include <dualbus/client/reply_queue.hpp>

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <memory>
#include <ostream>
#include <random>
#include <string>

#include <gtest/gtest.h>

// Many clients with random requests, replies, messages and ends, beside a model that keeps a plain list of
// texts.
namespace dualbus::client {
namespace {

// The mistakes that the user of a queue could make; each must be noticed, so that it is known to be tried.
enum class lie : std::uint8_t {
  none,
  writes_out_of_turn,
  forgets_to_take,
  ignores_mode,
  forgets_next_request,
  forgets_mute,
  forgets_place,
  forgets_defer,
  finishes_deferred_twice,
  forgets_hold,
  pushes_into_output,
  forgets_kept,
  uses_after_close,
  end
};
constexpr const char* lie_names[] = {
    "None",          "WritesOutOfTurn", "ForgetsToTake", "IgnoresMode", "ForgetsNext",         "ForgetsMute",
    "ForgetsPlace",  "ForgetsDefer",    "DefersTwice",   "ForgetsHold", "PushesIntoTheOutput", "ForgetsKept",
    "UsesAfterClose"};
std::ostream& operator<<(std::ostream& out, lie which) {
  return out << lie_names[static_cast<std::size_t>(which)];
}

class simulation {
 public:
  simulation(std::uint32_t seed, lie told) : random_(seed), lie_(told) {}

  // The first difference between the queue and the model; empty if there is none.
  std::string run() {
    for (int step = 0; step < 300 && fault_.empty(); ++step) {
      act();
      if (chance(2)) next_request();
      if (fault_.empty()) compare(step);
    }
    if (fault_.empty()) close();
    return fault_;
  }

 private:
  struct reply final : owed_reply {
    using owed_reply::owed_reply;
    bool freed = false;
  };
  enum class kind : std::uint8_t { later, place, deferred };
  struct item {
    std::unique_ptr<reply> real;
    kind is;
    bool done = false, muted = false, holds = false;
    std::string text, behind;  // messages that are held back
    std::size_t kept = 0;
  };

  int below(int n) { return std::uniform_int_distribution<int>(0, n - 1)(random_); }
  bool chance(int of) { return below(of) == 0; }
  std::string text() { return "<" + std::to_string(++texts_) + std::string(chance(10) ? 400 : 0, 'x') + ">"; }
  bool mutes() const { return mode_ == 'o' || mode_ == 't'; }

  item& owe(kind is) {
    const bool muted = lie_ != lie::ignores_mode && mutes();
    item made{std::make_unique<reply>(pool_, muted), is, false, mutes(), false, {}, {}, 0};
    queue_.owe(*made.real);
    items_.push_back(std::move(made));
    return items_.back();
  }
  item* pick(kind is) {
    std::vector<item*> open;
    for (item& i : items_) {
      if (!i.done && i.is == is) open.push_back(&i);
    }
    return open.empty() ? nullptr : open[static_cast<std::size_t>(below(static_cast<int>(open.size())))];
  }

  void finish(item& which) {
    which.text = text();
    const bool wrong = lie_ == lie::writes_out_of_turn && chance(3);
    (wrong ? queue_.out() : queue_.target(*which.real)).append(which.text);
    end(which);
    if (queue_.finish(*which.real) != std::exchange(which.kept, 0)) fault_ = "kept bytes of a reply";
    settle();
  }
  static void end(item& which) {
    which.done = true;
    if (which.muted) which.text.clear();
  }

  void answer() {
    item* const place = chance(2) ? pick(kind::place) : nullptr;
    const std::string says = text();
    if (place != nullptr && lie_ != lie::forgets_place) queue_.answer_next_at(*place->real);
    std::unique_ptr<reply> made;
    base::chunk_queue* const out = queue_.begin_answer([&] {
      made = std::make_unique<reply>(pool_, mutes());
      return made.get();
    });
    if (out != nullptr) out->append(says);
    queue_.end_answer();
    if (place != nullptr) {
      place->text = says;
      end(*place);
      place->kept = 0;
    } else if (!mutes()) {
      (items_.empty() ? written_ : items_.emplace_back().text) += says;
      if (made) {
        items_.back() = {std::move(made), kind::later, true, false, false, says, {}, 0};
      }
    }
    settle();
  }

  void defer() {
    item& made = owe(kind::deferred);
    if (lie_ != lie::forgets_defer) queue_.defer(*made.real);
  }
  void complete() {
    const auto first = std::find_if(items_.begin(), items_.end(),
                                    [](const item& i) { return i.is == kind::deferred && !i.done; });
    owed_reply* const found = queue_.first_deferred();
    if (found != (first == items_.end() ? nullptr : first->real.get())) fault_ = "the first that is deferred";
    if (first == items_.end() || !fault_.empty()) return;
    if (lie_ != lie::finishes_deferred_twice) queue_.begin_deferred(*first->real);
    finish(*first);
  }

  // The effect of EXEC when nothing was carried out.
  void mute() {
    if (items_.empty()) return;
    const auto last = static_cast<std::size_t>(below(static_cast<int>(items_.size())));
    const auto first = static_cast<std::size_t>(below(static_cast<int>(last) + 1));
    if (lie_ != lie::forgets_mute) queue_.mute(*items_[first].real, *items_[last].real);
    for (std::size_t i = first + 1; i <= last; ++i) {
      items_[i].muted = true;
      items_[i].text.clear();
      if (items_[i].is != kind::place || items_[i].done) continue;
      queue_.drop(*items_[i].real);
      items_[i].done = true;
    }
    settle();
  }

  void push() {
    const std::string message = text();
    if (lie_ == lie::pushes_into_output) {
      queue_.push_target().append(message);
    } else {
      queue_.push(message[0], std::string_view(message).substr(1));
    }
    const auto holder = std::find_if(items_.rbegin(), items_.rend(), [](const item& i) { return i.holds; });
    (holder == items_.rend() ? written_ : holder->behind) += message;
  }
  void hold() {
    if (lie_ != lie::forgets_hold) queue_.hold_pushes_behind_newest();
    if (!items_.empty()) items_.back().holds = true;
  }

  void keep() {
    item* const which = pick(kind::later);
    if (which == nullptr) return;
    const auto bytes = static_cast<std::size_t>(below(100));
    queue_.keep(*which->real, bytes);
    which->kept += bytes;
    if (!chance(4)) return;
    if (lie_ != lie::forgets_kept && queue_.forget_kept(*which->real) != which->kept)
      fault_ = "forgotten bytes";
    which->kept = 0;
  }

  void set_mode() {
    using mode = reply_queue::mode;
    if (chance(3)) {
      queue_.reset_mode();
      if (mode_ != 't') mode_ = ' ';
    } else if (mode_ == 'o' || chance(2)) {
      queue_.set_mode(mode::on);
      mode_ = ' ';
    } else if (chance(2)) {
      queue_.set_mode(mode::off);
      mode_ = 'o';
    } else {
      queue_.set_mode(mode::skip_next);
      mode_ = 'n';
    }
  }
  void next_request() {
    if (lie_ != lie::forgets_next_request) queue_.next_request();
    mode_ = mode_ == 'n' ? 't' : mode_ == 't' ? ' ' : mode_;
  }

  void act() {
    switch (below(14)) {
      case 0:
      case 1:
        owe(kind::later);
        return;
      case 2:
        owe(kind::place);
        return;
      case 3:
        return defer();
      case 4:
      case 5:
      case 6:
        if (item* const which = pick(kind::later)) finish(*which);
        return;
      case 7:
      case 8:
        return answer();
      case 9:
        return complete();
      case 10:
        return chance(3) ? mute() : keep();
      case 11:
        return push();
      case 12:
        return hold();
      default:
        return chance(2) ? set_mode() : consume();
    }
  }

  // The client reads some.
  void consume() {
    const std::size_t bytes = static_cast<std::size_t>(below(static_cast<int>(queue_.out().size()) + 1));
    iovec vectors[64];
    std::size_t left = bytes;
    const int count = queue_.out().gather(vectors, 64);
    for (int i = 0; i < count && left > 0; ++i) {
      const std::size_t part = std::min(left, vectors[i].iov_len);
      read_.append(static_cast<const char*>(vectors[i].iov_base), part);
      left -= part;
    }
    queue_.out().consume(bytes - left);
  }

  void settle() {
    while (lie_ != lie::forgets_to_take || chance(2)) {
      auto* const finished = static_cast<reply*>(queue_.take_finished());
      if (finished == nullptr) break;
      if (std::exchange(finished->freed, true)) fault_ = "a reply is handed out twice";
      if (items_.empty() || items_.front().real.get() != finished) fault_ = "another reply is handed out";
      if (!fault_.empty()) return;
      written_ += items_.front().text + items_.front().behind;
      items_.pop_front();
    }
    if (!items_.empty() && items_.front().done) fault_ = "a reply is not handed out";
  }

  void compare(int step) {
    if (chance(3)) consume();
    std::size_t waiting = written_.size() - read_.size(), kept = 0;
    for (const item& i : items_) {
      waiting += i.behind.size() + (i.done ? i.text.size() : 0);
      kept += i.kept;
    }
    if (written_.compare(0, read_.size(), read_) != 0) fault_ = "what the client reads";
    if (queue_.out().size() != written_.size() - read_.size()) fault_ = "the bytes in the output";
    if (queue_.waiting_bytes() != waiting) fault_ = "the bytes that wait";
    if (queue_.kept_bytes() != kept) fault_ = "the bytes that are kept";
    if (queue_.owed() != items_.size() || queue_.owes() == items_.empty()) fault_ = "the number that is owed";
    if (queue_.oldest() != (items_.empty() ? nullptr : items_.front().real.get())) fault_ = "the oldest";
    if (queue_.newest() != (items_.empty() ? nullptr : items_.back().real.get())) fault_ = "the newest";
    if (queue_.mutes() != mutes()) fault_ = "whether replies are muted";
    if (!fault_.empty()) fault_ += " differs in step " + std::to_string(step);
  }

  void close() {
    std::size_t next = 0;
    queue_.close([&](owed_reply& left, bool done) {
      if (next >= items_.size() || items_[next].real.get() != &left || items_[next].done != done)
        fault_ = "what is left at the end";
      ++next;
    });
    if (next != items_.size()) fault_ = "how much is left at the end";
    if (lie_ == lie::uses_after_close) queue_.push_target().append("x");
    const bool takes = queue_.begin_answer([]() -> owed_reply* { return nullptr; }) != nullptr;
    if (takes || !queue_.idle() || queue_.waiting_bytes() + queue_.kept_bytes() + queue_.owed() != 0)
      fault_ = "something is left after the end";
  }

  std::mt19937 random_;
  const lie lie_;
  base::chunk_pool pool_{256, 8};
  reply_queue queue_{pool_};
  std::deque<item> items_;
  std::string written_, read_, fault_;
  char mode_ = ' ';  // o(ff), n(ext is skipped), t(his is skipped)
  int texts_ = 0;
};

std::uint32_t runs() {
  const char* const wanted = std::getenv("DUALBUS_SIMULATION_RUNS");
  return wanted != nullptr ? static_cast<std::uint32_t>(std::strtoul(wanted, nullptr, 10)) : 3000;
}

TEST(ReplyQueueSimulationTest, AgreesWithAListOfTexts) {
  for (std::uint32_t seed = 1; seed <= runs(); ++seed) {
    ASSERT_EQ(simulation(seed, lie::none).run(), "") << "seed " << seed;
  }
}

class ReplyQueueLieTest : public testing::TestWithParam<lie> {};

TEST_P(ReplyQueueLieTest, IsNoticed) {
  for (std::uint32_t seed = 1; seed <= 200; ++seed) {
    if (!simulation(seed, GetParam()).run().empty()) return;
  }
  FAIL() << "nobody notices";
}

std::vector<lie> all_lies() {
  std::vector<lie> all;
  for (auto i = static_cast<std::uint8_t>(lie::none) + 1; i < static_cast<std::uint8_t>(lie::end); ++i) {
    all.push_back(static_cast<lie>(i));
  }
  return all;
}
INSTANTIATE_TEST_SUITE_P(EveryRuleLeftOut, ReplyQueueLieTest, testing::ValuesIn(all_lies()),
                         [](const auto& tested) {
                           return lie_names[static_cast<std::size_t>(tested.param)];
                         });

}  // namespace
}  // namespace dualbus::client
