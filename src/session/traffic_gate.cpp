#include "secret_arguments.hpp"

#include <dualbus/base/numbers.hpp>
#include <dualbus/command/acl_categories.hpp>
#include <dualbus/session/session.hpp>
#include <dualbus/session/traffic_gate.hpp>
#include <dualbus/session/worker_context.hpp>

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

namespace dualbus::session {
namespace {

// Between two deliveries: what a monitor reads in a few milliseconds.
constexpr std::size_t most_line_bytes = std::size_t{256} << 10;

// Redis shows neither administration nor what scripts do (server.c, call).
bool is_shown(std::size_t index, resp::arguments args) {
  const command::command_spec& spec = command::command_table()[index];
  if (command::has_flag(spec, 'a') ||
      (command::has_flag(spec, 'M') && spec.group != command::group::scripting))
    return false;
  const int subcommand = args.size() > 1 ? command::find_subcommand(index, args[1]) : -1;
  return subcommand < 0 || command::subcommand_table()[static_cast<std::size_t>(subcommand)].flags.find(
                               'a') == std::string::npos;
}

// A script's first line may name flags (script.c, scriptFlagsList): #!lua flags=no-writes,allow-stale
bool says_no_writes(std::string_view script) {
  if (!script.starts_with("#!")) return false;
  std::string_view rest = script.substr(0, script.find('\n'));
  const std::size_t flags = rest.find(" flags=");
  if (flags == std::string_view::npos) return false;
  rest.remove_prefix(flags + 7);
  rest = rest.substr(0, rest.find(' '));
  while (!rest.empty()) {
    const std::string_view flag = rest.substr(0, rest.find(','));
    if (flag == "no-writes") return true;
    rest.remove_prefix(std::min(rest.size(), flag.size() + 1));
  }
  return false;
}

std::string timestamp() {
  const auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(since_epoch).count();
  return fmt::format("{}.{:06}", micros / 1'000'000, micros % 1'000'000);
}

}  // namespace

bool may_write(const command::command_spec& spec, resp::arguments args) {
  if (command::has_flag(spec, 'w')) return true;
  if (spec.name == "eval" && args.size() > 1 && says_no_writes(args[1])) return false;
  // Redis's CMD_MAY_REPLICATE.
  return spec.name == "publish" || spec.name == "spublish" || spec.name == "pfcount" ||
         spec.name == "xgroup" || (spec.route == command::route::scripting && !spec.name.ends_with("_ro"));
}

void traffic_gate::pause(base::time_point until, bool writes_only) {
  const bool running = paused_until_ != base::time_point{};
  writes_only_ = writes_only && (!running || writes_only_);
  paused_until_ = std::max(paused_until_, until);
}

// CLIENT goes through, so that somebody can end the pause.
bool traffic_gate::pauses(const command::command_spec& spec, bool writes, base::time_point now) const {
  if (!paused(now) || spec.name == "client") return false;
  return !writes_only_ || writes;
}

void traffic_gate::set_tapped(bool value) {
  tapped_ = value;
  if (value) ++taps_;
  if (!value) std::exchange(lines_, {});
}

void traffic_gate::take_back() {
  if (before_last_ < lines_.size()) lines_.resize(before_last_);
}

void traffic_gate::note(const session& client, const request& what) {
  before_last_ = lines_.size();
  if (client.monitoring() || !is_shown(what.command, what.args)) return;
  if (lines_.size() >= most_line_bytes) {
    ++left_out_;
    return;
  }
  lines_ += "+" + timestamp() + " [" + std::to_string(client.database()) + " " + client.peer_address() + "]";
  const std::vector<bool> secrets = secrets_in(what.args);
  for (std::size_t i = 0; i < what.args.size(); ++i) {
    lines_ += " " + quoted_argument(!secrets.empty() && secrets[i] ? redacted : what.args[i]);
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

void update_guard(worker_context& context) {
  context.guarded = context.access().restricts() || context.keeps_arguments || context.gate->tapped() ||
                    context.gate->paused(context.now);
}

}  // namespace dualbus::session
