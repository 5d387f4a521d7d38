#include "master_choice.hpp"

#include <algorithm>
#include <tuple>

namespace dualbus::admin {
namespace {

// Masters that were left; a group of servers has fewer.
constexpr std::size_t most_left = 32;

}  // namespace

bool master_choice::outdated(const config::server_address& address, std::uint64_t epoch) const {
  if (!present_) return false;
  const auto left = left_.find(address.endpoint);
  return epoch < present_->epoch || (left != left_.end() && epoch <= left->second);
}

std::vector<master_choice::candidate> master_choice::order(
    const std::vector<sentinel_answer>& answers) const {
  struct named : candidate {
    std::size_t votes = 0, configured_votes = 0;
    bool outdated = false;
  };
  std::vector<named> all;
  for (const sentinel_answer& answer : answers) {
    auto found =
        std::find_if(all.begin(), all.end(), [&](const named& n) { return n.address == answer.master; });
    if (found == all.end()) {
      all.emplace_back().address = answer.master;
      found = std::prev(all.end());
    }
    found->epoch = std::max(found->epoch, answer.epoch);
    ++found->votes;
    found->configured_votes += answer.configured ? 1 : 0;
  }
  for (named& n : all) n.outdated = outdated(n.address, n.epoch);
  std::erase_if(all, [&](const named& n) { return n.outdated && 2 * n.configured_votes <= configured_; });
  // In one epoch, a Sentinel that names another master than the present one leads a failover.
  const auto rank = [&](const named& n) {
    return std::tuple(!n.outdated, n.epoch, !is_present(n.address), n.votes);
  };
  std::stable_sort(all.begin(), all.end(), [&](const named& a, const named& b) { return rank(a) > rank(b); });
  std::vector<candidate> result;
  for (const named& n : all) {
    result.push_back(n);
    if (is_present(n.address)) break;
  }
  return result;
}

void master_choice::adopt(const candidate& chosen) {
  if (present_ && !is_present(chosen.address)) {
    if (left_.size() >= most_left) left_.clear();
    left_[present_->address.endpoint] = chosen.epoch;
  }
  left_.erase(chosen.address.endpoint);
  present_ = chosen;
}

}  // namespace dualbus::admin
