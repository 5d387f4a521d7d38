#include "sentinel_circle.hpp"

#include "thread_setup.hpp"

#include <algorithm>
#include <system_error>
#include <thread>
#include <utility>

namespace dualbus::admin {
namespace {

// Sentinels come in threes and fives; one that names hundreds is wrong.
constexpr std::size_t most_sentinels = 16;

}  // namespace

sentinel_circle::sentinel_circle(const config::sentinel_settings& settings, const stop_signal& stop,
                                 std::chrono::milliseconds patience)
    : settings_(settings), stop_(stop), patience_(patience) {
  for (const config::server_address& address : settings_.sentinels)
    links_.push_back(std::make_unique<sentinel_link>(address, settings_, true, stop_, patience_));
}

void sentinel_circle::close() {
  first_ = nullptr;
  for (const auto& link : links_) link->close();
}

void sentinel_circle::prefer(sentinel_link& better) {
  if (first_ == &better) return;
  if (first_ != nullptr) first_->close();
  first_ = &better;
}

sentinel_circle::said sentinel_circle::ask_first() {
  sentinel_link* const asked = first_;
  said result{asked, asked->ask()};
  if (result.answer.master) {
    learn(result.answer.others);
    asked->listen();
  } else {
    asked->close();
    first_ = nullptr;
  }
  return result;
}

std::vector<sentinel_circle::said> sentinel_circle::ask_all() {
  std::vector<said> all(links_.size());
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < all.size(); ++i) {
    all[i].by = links_[i].get();
    const auto ask = [&one = all[i]] { one.answer = one.by->ask(); };
    try {
      threads.push_back(start_quiet_thread("sentinel", ask));
    } catch (const std::system_error&) {  // no more threads: one after the other
      ask();
    }
  }
  for (std::thread& thread : threads) thread.join();
  const auto names_one = [](const said& s) { return s.answer.master.has_value(); };
  const bool first_answers =
      std::any_of(all.begin(), all.end(), [&](const said& s) { return s.by == first_ && names_one(s); });
  if (!first_answers) {
    const auto other = std::find_if(all.begin(), all.end(), names_one);
    first_ = other == all.end() ? nullptr : other->by;
  }
  for (const said& s : all) {
    if (s.by != first_) s.by->close();
  }
  for (const said& s : all) learn(s.answer.others);
  if (first_ != nullptr) first_->listen();
  return all;
}

void sentinel_circle::learn(const std::vector<config::server_address>& others) {
  for (const config::server_address& other : others) {
    const bool known = std::any_of(links_.begin(), links_.end(), [&](const auto& link) {
      return link->settings().host == other.host && link->settings().port == other.port;
    });
    if (known) continue;
    if (links_.size() >= most_sentinels) return;
    links_.push_back(std::make_unique<sentinel_link>(other, settings_, false, stop_, patience_));
  }
}

}  // namespace dualbus::admin
