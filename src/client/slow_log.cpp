#include <dualbus/client/slow_log.hpp>
#include <dualbus/command/request_facts.hpp>

#include <utility>

namespace dualbus::client {
namespace {

constexpr std::size_t most_arguments = 32;
constexpr std::size_t most_bytes = 128;

}  // namespace

void slow_log::configure(const config::slowlog_settings& settings) {
  max_entries_ = settings.max_entries;
  if (entries_.size() > max_entries_) entries_.resize(max_entries_);
  threshold_ = max_entries_ == 0 ? base::duration::max() : base::duration(settings.threshold);
  keeps_arguments_ = max_entries_ > 0 && settings.arguments;
}

void slow_log::add(slow_entry entry) {
  if (max_entries_ == 0) return;
  entry.id = last_id_.fetch_add(1);
  if (entries_.size() >= max_entries_) entries_.pop_back();
  entries_.push_front(std::move(entry));
}

std::vector<std::string> cut_arguments(resp::arguments args) {
  std::vector<std::string> result;
  const std::vector<bool> secrets = command::secrets_in(args);
  const bool too_many = args.size() > most_arguments;
  for (const std::string_view arg : args.first(too_many ? most_arguments - 1 : args.size())) {
    if (!secrets.empty() && secrets[result.size()]) {
      result.emplace_back(command::redacted);
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

}  // namespace dualbus::client
