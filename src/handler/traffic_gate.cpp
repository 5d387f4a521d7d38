#include <dualbus/base/numbers.hpp>
#include <dualbus/client/session.hpp>
#include <dualbus/command/acl_categories.hpp>
#include <dualbus/command/request_facts.hpp>
#include <dualbus/handler/traffic_gate.hpp>

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

namespace dualbus::handler {
namespace {

// The limit between two deliveries: a monitor reads as much in a few milliseconds.
constexpr std::size_t most_line_bytes = std::size_t{256} << 10;

// Redis shows neither administration nor the commands of scripts (server.c, call).
bool is_shown(std::size_t index, resp::arguments args) {
  const command::command_spec& spec = command::command_table()[index];
  if (command::has_flag(spec, 'a') ||
      (command::has_flag(spec, 'M') && spec.group != command::group::scripting))
    return false;
  const int subcommand = args.size() > 1 ? command::find_subcommand(index, args[1]) : -1;
  return subcommand < 0 || command::subcommand_table()[static_cast<std::size_t>(subcommand)].flags.find(
                               'a') == std::string::npos;
}

std::string timestamp() {
  const auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(since_epoch).count();
  return fmt::format("{}.{:06}", micros / 1'000'000, micros % 1'000'000);
}

}  // namespace

void traffic_gate::pause(base::time_point until, bool writes_only) {
  const bool running = paused_until_ != base::time_point{};
  writes_only_ = writes_only && (!running || writes_only_);
  paused_until_ = std::max(paused_until_, until);
  update();
}

// CLIENT passes, so that somebody can end the pause.
bool traffic_gate::pauses(const command::command_spec& spec, bool writes, base::time_point now) const {
  if (!paused(now) || spec.has(command::fact::ends_pause)) return false;
  return !writes_only_ || writes;
}

void traffic_gate::unpause() {
  paused_until_ = {};
  update();
}

void traffic_gate::set_restricted(bool value) {
  restricted_ = value;
  update();
}

void traffic_gate::set_ordered(bool value) {
  ordered_ = value;
  update();
}

void traffic_gate::update() {
  guards_ = restricted_ || ordered_ || tapped_ || paused_until_ != base::time_point{};
}

void traffic_gate::set_tapped(bool value) {
  tapped_ = value;
  if (value) ++taps_;
  if (!value) std::exchange(lines_, {});
  update();
}

void traffic_gate::take_back() {
  if (before_last_ < lines_.size()) lines_.resize(before_last_);
}

void traffic_gate::note(const session& client, const client::request& request) {
  before_last_ = lines_.size();
  if (client.monitoring() || !is_shown(request.command, request.args)) return;
  if (lines_.size() >= most_line_bytes) {
    ++left_out_;
    return;
  }
  lines_ += "+" + timestamp() + " [" + std::to_string(client.database()) + " " + client.peer_address() + "]";
  const std::vector<bool> secrets = command::secrets_in(request.args);
  for (std::size_t i = 0; i < request.args.size(); ++i) {
    lines_ += " " + quoted_argument(!secrets.empty() && secrets[i] ? command::redacted : request.args[i]);
  }
  lines_ += "\r\n";
}

std::string traffic_gate::take_lines() {
  if (left_out_ > 0) {
    lines_ += fmt::format("+{} [0 dualbusd] \"{} requests are left out here\"\r\n", timestamp(), left_out_);
    left_out_ = 0;
  }
  return std::exchange(lines_, {});
}

std::string quoted_argument(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    switch (c) {
      case '\\':
      case '"':
        result += '\\';
        result += c;
        break;
      case '\n':
        result += "\\n";
        break;
      case '\r':
        result += "\\r";
        break;
      case '\t':
        result += "\\t";
        break;
      case '\a':
        result += "\\a";
        break;
      case '\b':
        result += "\\b";
        break;
      default:
        if (c >= ' ' && c <= '~') {
          result += c;
        } else {
          result += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
        }
    }
  }
  return result + "\"";
}

}  // namespace dualbus::handler
