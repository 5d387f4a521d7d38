#include "secret_arguments.hpp"

#include <dualbus/session/slow_log.hpp>

#include <utility>

namespace dualbus::session {
namespace {

constexpr std::size_t most_arguments = 32;
constexpr std::size_t most_bytes = 128;

}  // namespace

void slow_log::set_max_entries(std::size_t count) {
  max_entries_ = count;
  if (entries_.size() > count) entries_.resize(count);
}

void slow_log::add(slow_entry entry) {
  if (max_entries_ == 0) return;
  if (entries_.size() >= max_entries_) entries_.pop_back();
  entries_.push_front(std::move(entry));
}

std::vector<std::string> cut_arguments(resp::arguments args) {
  std::vector<std::string> result;
  const std::vector<bool> secrets = secrets_in(args);
  const bool too_many = args.size() > most_arguments;
  for (const std::string_view arg : args.first(too_many ? most_arguments - 1 : args.size())) {
    if (!secrets.empty() && secrets[result.size()]) {
      result.emplace_back(redacted);
    } else if (arg.size() <= most_bytes) {
      result.emplace_back(arg);
    } else {
      result.push_back(std::string(arg.substr(0, most_bytes)) + "... (" +
                       std::to_string(arg.size() - most_bytes) + " more bytes)");
    }
  }
  if (too_many)
    result.push_back("... (" + std::to_string(args.size() - most_arguments + 1) + " more arguments)");
  return result;
}

}  // namespace dualbus::session
