#include "handler/refusals.hpp"
#include "stream_commands.hpp"

#include <dualbus/base/c_string.hpp>
#include <dualbus/base/log.hpp>
#include <dualbus/base/numbers.hpp>
#include <dualbus/client/session.hpp>
#include <dualbus/operation/group_operation.hpp>
#include <dualbus/resp/reply_reader.hpp>
#include <dualbus/stream/bounds.hpp>
#include <dualbus/stream/entry_id.hpp>

#include <algorithm>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dualbus::handler {
namespace {

using base::equals_ignoring_case;
using command::bus_index;

constexpr std::string_view busy_group = "BUSYGROUP Consumer Group name already exists";
constexpr std::string_view wrong_type = "WRONGTYPE Operation against a key holding the wrong kind of value";
constexpr std::string_view key_required =
    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the "
    "MKSTREAM option to create an empty stream automatically.";

enum class subcommand { create, set_id, destroy, create_consumer, delete_consumer };

struct group_request {
  subcommand what;
  std::string key, group, consumer;
  std::optional<stream::client_id> after;  ///< the position of CREATE and SETID; nothing: the stream's end
  bool make_stream = false;
};

/// XGROUP of a logical stream. The steps on several buses are done in an order in which no poll in between
/// can bring a destroyed group back, or give one that is being created another position:
/// CREATE: other active buses, anchor, draining ones; DESTROY: draining ones, anchor, other active buses.
class group_command_operation final : public group_operation {
 public:
  group_command_operation(stream_environment& environment, session& owner, routed_request& request,
                          group_request asked)
      : group_operation(environment, owner, request, true), what_(std::move(asked)) {
    for (std::size_t i = 0; i < environment.buses.count(); ++i) {
      const auto bus = static_cast<bus_index>(i);
      (is_draining(bus) ? draining_ : bus == anchor() ? anchors_ : others_).push_back(bus);
    }
  }

 protected:
  base::task<> run() override {
    switch (what_.what) {
      case subcommand::create:
        co_await create();
        break;
      case subcommand::destroy:
        co_await destroy_group();
        break;
      case subcommand::set_id:
      case subcommand::create_consumer:
        co_await change();
        break;
      case subcommand::delete_consumer:
        co_await delete_consumer();
        break;
    }
    // No bus announces to waiting readers that groups have changed.
    streams_.parking.groups_changed(what_.key);
  }

 private:
  using bus_list = std::vector<bus_index>;

  // --- CREATE

  base::task<> create() {
    const bus_list* const order[] = {&others_, &anchors_, &draining_};
    bool exists = false, left_behind = false;
    std::vector<bus_index> with_key;
    {
      for (const auto* buses : order) {
        for (const bus_index bus : *buses) {
          const std::string_view type[] = {"TYPE", what_.key},
                                 lookup[] = {"XPENDING", what_.key, what_.group};
          send(bus, type);
          if (buses != &others_) send(bus, lookup);
        }
      }
      const parts all = co_await round();
      if (std::any_of(all.begin(), all.end(), is_other_type)) co_return answer_wrong_type();
      if (const survey seen = look_over(all); seen.problem != nullptr) co_return answer_error(*seen.problem);
      for (const part& p : all) {
        if (p.reply == "+stream\r\n") with_key.push_back(p.bus);
        if (p.reply[0] != '*') continue;
        (is_draining(p.bus) ? left_behind : exists) = true;
      }
    }
    // Elsewhere the group is made when somebody first reads there, and not at this request's position.
    if (exists) co_return answer_busy();
    if (left_behind) {
      std::vector<bus_index> active = others_;
      active.insert(active.end(), anchors_.begin(), anchors_.end());
      const healing healed = co_await heal(what_.key, what_.group, std::move(active));
      if (healed.problem) co_return answer_error(*healed.problem);
      if (healed.exists) co_return answer_busy();
    }
    if (with_key.empty() && !what_.make_stream) co_return answer_refusal(key_required);

    // A failure before the anchor has answered leaves a group that does not exist yet.
    for (const auto* buses : order) {
      bool lost_race = false;
      {
        for (const bus_index bus : *buses) {
          const bool has_key = std::find(with_key.begin(), with_key.end(), bus) != with_key.end();
          if (!is_draining(bus) || has_key) send_create(bus);
        }
        const parts all = co_await round();
        for (const part& p : all) {
          if (!p.is_error()) continue;
          if (!p.reply.starts_with("-BUSYGROUP")) co_return answer_error(p);
          if (buses == &anchors_) {
            lost_race = true;
            continue;
          }
          base::warn_limited({},
                             "group '{}' of stream '{}' was there already on bus '{}' and keeps its position",
                             base::in_log(what_.group), base::in_log(what_.key), env_.buses.name(p.bus));
        }
      }
      if (lost_race) co_return answer_busy();
    }
    answer_ok();
  }

  void send_create(bus_index bus) {
    const std::string after = position_on(bus);
    std::vector<std::string_view> args = {"XGROUP", "CREATE", what_.key, what_.group, after};
    if (!is_draining(bus)) args.emplace_back("MKSTREAM");
    send(bus, args);
  }

  static bool is_other_type(const part& p) {
    return p.reply.starts_with("-WRONGTYPE") ||
           (p.reply[0] == '+' && p.reply != "+none\r\n" && p.reply != "+stream\r\n");
  }

  // --- DESTROY

  base::task<> destroy_group() {
    const bus_list* const order[] = {&draining_, &anchors_, &others_};
    bool key_exists = false, destroyed = false;
    for (const auto* buses : order) {
      for (const bus_index bus : *buses) {
        const std::string_view args[] = {"XGROUP", "DESTROY", what_.key, what_.group};
        send(bus, args);
      }
      const parts all = co_await round();
      const survey seen = look_over(all);
      if (seen.problem != nullptr) co_return answer_error(*seen.problem);
      key_exists |= seen.key_exists;
      for (const part& p : all) destroyed |= resp::as_integer(p.reply).value_or(0) > 0;
    }
    if (!key_exists) co_return answer_refusal(key_required);
    answer_integer(destroyed ? 1 : 0);
  }

  // --- SETID, CREATECONSUMER: on all buses; where the group is missing it is made first

  base::task<> change() {
    bool all_did = true, group_exists, key_exists;
    std::vector<bus_index> missing;
    {
      for (std::size_t i = 0; i < env_.buses.count(); ++i) send_change(static_cast<bus_index>(i));
      const parts all = co_await round();
      survey seen = look_over(all);
      if (seen.problem != nullptr) co_return answer_error(*seen.problem);
      for (const part& p : all) all_did &= is_absence(p) || did(p);
      group_exists = seen.group_exists;
      key_exists = seen.key_exists;
      missing = std::move(seen.missing);
    }
    if (!group_exists) co_return answer_missing(key_exists);
    if (!missing.empty()) {
      const healing healed = co_await heal(what_.key, what_.group, missing);
      if (healed.problem) co_return answer_error(*healed.problem);
      if (!healed.exists) co_return answer_missing(true);
      for (const bus_index bus : missing) send_change(bus);
      const parts all = co_await round();
      const survey seen = look_over(all);
      if (seen.problem != nullptr) co_return answer_error(*seen.problem);
      if (!seen.missing.empty()) co_return answer_missing(true);  // destroyed meanwhile
      for (const part& p : all) all_did &= did(p);
    }
    if (what_.what == subcommand::set_id) co_return answer_ok();
    answer_integer(all_did ? 1 : 0);
  }

  void send_change(bus_index bus) {
    if (what_.what == subcommand::set_id) {
      const std::string after = position_on(bus);
      const std::string_view args[] = {"XGROUP", "SETID", what_.key, what_.group, after};
      return send(bus, args);
    }
    const std::string_view args[] = {"XGROUP", "CREATECONSUMER", what_.key, what_.group, what_.consumer};
    send(bus, args);
  }

  static bool did(const part& p) { return resp::as_integer(p.reply).value_or(1) == 1; }

  // --- DELCONSUMER

  base::task<> delete_consumer() {
    const std::string_view args[] = {"XGROUP", "DELCONSUMER", what_.key, what_.group, what_.consumer};
    send_to_all(args);
    const parts all = co_await round();
    const survey seen = look_over(all);
    if (seen.problem != nullptr) co_return answer_error(*seen.problem);
    if (!seen.group_exists) co_return answer_missing(seen.key_exists);
    if (const auto pending = sum_of(all)) answer_integer(*pending);
  }

  // --- common

  std::string position_on(bus_index bus) const {
    if (!what_.after) return "$";
    return stream::to_string(stream::after_on(env_.buses.slot_of(bus), *what_.after));
  }

  void answer_wrong_type() { answer_redis_error(wrong_type); }
  void answer_busy() { answer_redis_error(busy_group); }
  void answer_missing(bool key_exists) {
    if (!key_exists) return answer_redis_error(key_required);
    answer_no_group_of_key(what_.key, what_.group);
  }

  group_request what_;
  bus_list others_, anchors_, draining_;
};

/// Reads the position of CREATE and SETID; false if it is no ID. Only SETID takes the ends of the ID space.
bool parse_position(std::string_view text, bool ends, std::optional<stream::client_id>& out) {
  text = base::as_c_string(text);
  constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
  if (text == "$") return true;
  if (ends && text == "-") {
    out = {0, 0};
  } else if (ends && text == "+") {
    out = {most, most};
  } else {
    const auto id = stream::parse_id(text, 0);
    if (!id) return false;
    out = {id->ms, id->seq};
  }
  return true;
}

std::string syntax_fault(resp::arguments args) {
  return "ERR unknown subcommand or wrong number of arguments for '" + std::string(args[1].substr(0, 128)) +
         "'. Try XGROUP HELP.";
}

/// Reads the options of CREATE and SETID. Returns the fault, or nothing. The number of entries that the group
/// has read (ENTRIESREAD) cannot be divided among buses; every bus finds it out by itself.
std::string parse_options(resp::arguments args, bool create, bool& make_stream) {
  for (std::size_t i = 5; i < args.size(); ++i) {
    if (create && base::is_word(args[i], "mkstream")) {
      make_stream = true;
    } else if (base::is_word(args[i], "entriesread") && i + 1 < args.size()) {
      const auto read = base::parse_int64(args[++i]);
      if (!read) return "ERR value is not an integer or out of range";
      if (*read < -1) return "ERR value for ENTRIESREAD must be positive or -1";
    } else {
      return syntax_fault(args);
    }
  }
  if (create ? args.size() > 8 : args.size() != 5 && args.size() != 7) return syntax_fault(args);
  return {};
}

struct xgroup_subcommand {
  std::string_view name;
  int arity;  // as in the command table
  subcommand what;
};

constexpr xgroup_subcommand subcommands[] = {
    {"create", -5, subcommand::create},
    {"setid", -5, subcommand::set_id},
    {"destroy", 4, subcommand::destroy},
    {"createconsumer", 5, subcommand::create_consumer},
    {"delconsumer", 5, subcommand::delete_consumer},
};

}  // namespace

void start_group(stream_services& services, session& client, routed_request& request) {
  const resp::arguments args = request.args;
  const auto found =
      std::find_if(std::begin(subcommands), std::end(subcommands),
                   [&](const xgroup_subcommand& s) { return equals_ignoring_case(args[1], s.name); });
  if (found == std::end(subcommands)) {
    // XGROUP HELP takes no key, so the router has sent it to a bus.
    if (equals_ignoring_case(args[1], "help")) return refuse_arity(client, request, "xgroup|help");
    return refuse_subcommand(client, request);
  }
  const bool enough = found->arity > 0 ? args.size() == static_cast<std::size_t>(found->arity)
                                       : args.size() >= static_cast<std::size_t>(-found->arity);
  if (!enough) return refuse_arity(client, request, "xgroup|" + std::string(found->name));

  group_request asked{found->what, std::string(args[2]), std::string(args[3]), {}, {}, false};
  if (found->arity > 0 && args.size() > 4) asked.consumer = args[4];
  if (found->arity < 0) {
    const bool create = found->what == subcommand::create;
    if (const std::string fault = parse_options(args, create, asked.make_stream); !fault.empty()) {
      return client.refuse(request, fault);
    }
    if (!parse_position(args[4], !create, asked.after)) {
      return client.refuse(request, "ERR Invalid stream ID specified as stream command argument");
    }
  }
  (new group_command_operation(services, client, request, std::move(asked)))->start();
}

}  // namespace dualbus::handler
