#include "entry_ids.hpp"
#include "stream_commands.hpp"

#include <dualbus/base/c_string.hpp>
#include <dualbus/base/numbers.hpp>
#include <dualbus/client/session.hpp>
#include <dualbus/operation/forwarding.hpp>
#include <dualbus/operation/gather_operation.hpp>
#include <dualbus/resp/reply_reader.hpp>
#include <dualbus/stream/bounds.hpp>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

namespace dualbus::handler {
namespace {

using base::is_word;
using command::bus_index;

constexpr std::string_view invalid_id = "ERR Invalid stream ID specified as stream command argument";
constexpr std::string_view syntax_error = "ERR syntax error";
constexpr std::string_view no_integer = "ERR value is not an integer or out of range";

// --- XLEN, XTRIM: sums over all buses

class sum_operation final : public single_round_operation {
 public:
  /// `min_id`, if not 0, is the index of the ID below which entries are removed.
  sum_operation(environment& environment, session& owner, routed_request& request, resp::arguments args,
                std::size_t min_id = 0)
      : single_round_operation(environment, owner, request), args_(args), min_id_(min_id) {}

 protected:
  void on_start() override {
    std::vector<std::string_view> request(args_.begin(), args_.end());
    for (std::size_t i = 0; i < env_.buses.count(); ++i) {
      const auto bus = static_cast<bus_index>(i);
      std::string there;
      if (min_id_ != 0) {
        const stream::parsed_id id = *stream::parse_id(args_[min_id_], 0);
        there = stream::to_string(stream::min_id_on(env_.buses.slot_of(bus), {id.ms, id.seq}));
        request[min_id_] = there;
      }
      send(bus, request);
    }
    args_ = {};
  }

  void on_round(const parts& all) override {
    if (answer_error(all)) return;
    if (const auto sum = sum_of(all)) answer_integer(*sum);
  }

 private:
  resp::arguments args_;  // of the first round, which is the only one
  std::size_t min_id_;
};

/// Reads XTRIM's arguments in the order in which Redis finds fault with them. Returns the fault, or nothing.
std::string trim_fault(resp::arguments args, std::size_t& min_id) {
  bool trims = false, approximate = false, limited = false;
  std::int64_t limit = 0;
  for (std::size_t i = 2; i < args.size(); ++i) {
    const std::size_t more = args.size() - 1 - i;
    const bool by_length = is_word(args[i], "maxlen");
    if (more > 0 && (by_length || is_word(args[i], "minid"))) {
      if (trims) return "ERR syntax error, MAXLEN and MINID options at the same time are not compatible";
      trims = true;
      approximate = more >= 2 && is_word(args[i + 1], "~");
      if (more >= 2 && (approximate || is_word(args[i + 1], "="))) ++i;
      ++i;
      if (by_length) {
        const auto length = base::parse_int64(args[i]);
        if (!length) return std::string(no_integer);
        if (*length < 0) return "ERR The MAXLEN argument must be >= 0.";
      } else {
        if (!stream::parse_id(args[i], 0)) return std::string(invalid_id);
        min_id = i;
      }
    } else if (more > 0 && is_word(args[i], "limit")) {
      const auto value = base::parse_int64(args[++i]);
      if (!value) return std::string(no_integer);
      if (*value < 0) return "ERR The LIMIT argument must be >= 0.";
      limited = true;
      limit = *value;
    } else if (is_reference_option(args[i])) {
      return unsupported_option(args[i], args[1]);
    } else {
      return std::string(syntax_error);
    }
  }
  if (limit != 0 && !trims)
    return "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy";
  if (!trims) return "ERR syntax error, XTRIM must be called with a trimming strategy";
  if (limited && !approximate) return "ERR syntax error, LIMIT cannot be used without the special ~ option";
  return {};
}

// --- XDEL, XACK, XDELEX, XACKDEL: each ID goes to its bus

struct id_request {
  std::size_t first = 0;  // index of the first ID
  bool counted = false;   // the number of IDs stands before them, and the reply has one element per ID
  std::vector<stream::client_id> ids;
};

class entries_by_bus_operation final : public single_round_operation {
 public:
  entries_by_bus_operation(environment& environment, session& owner, routed_request& request,
                           resp::arguments args, const id_request& asked, std::vector<bus_index> buses)
      : single_round_operation(environment, owner, request),
        args_(args),
        first_(asked.first),
        counted_(asked.counted),
        ids_(asked.ids),
        buses_(std::move(buses)) {}

 protected:
  void on_start() override {
    for (std::size_t i = 0; i < env_.buses.count(); ++i) {
      const auto bus = static_cast<bus_index>(i);
      std::vector<std::string> there;
      for (std::size_t k = 0; k < ids_.size(); ++k) {
        if (buses_[k] == bus) there.push_back(stream::to_string(stream::to_bus(ids_[k])));
      }
      if (there.empty()) continue;
      std::vector<std::string_view> request(args_.begin(),
                                            args_.begin() + static_cast<std::ptrdiff_t>(first_));
      const std::string count = std::to_string(there.size());
      if (counted_) request.back() = count;
      request.insert(request.end(), there.begin(), there.end());
      send(bus, request);
    }
    args_ = {};
  }

  void on_round(const parts& all) override {
    if (answer_error(all)) return;
    if (counted_) return answer_each(all);
    if (const auto sum = sum_of(all)) answer_integer(*sum);
  }

 private:
  // Answers in the order of the arguments; an ID whose slot no bus has does not exist.
  void answer_each(const parts& all) {
    std::vector<resp::reply_reader> readers(env_.buses.count(), resp::reply_reader({}));
    for (const part& p : all) {
      readers[p.bus] = resp::reply_reader(p.reply);
      const auto ids = static_cast<std::size_t>(std::count(buses_.begin(), buses_.end(), p.bus));
      if (const resp::reply_value head = readers[p.bus].next(); head.type != '*' || head.elements != ids)
        return answer_nonsense(p.bus);
    }
    answer(metrics::outcome::ok, [&](resp::encoder& out, base::chunk_queue&) {
      out.array(buses_.size());
      for (const bus_index bus : buses_)
        out.integer(bus == command::no_bus ? -1 : readers[bus].next().number);
    });
  }

  resp::arguments args_;
  std::size_t first_;
  bool counted_;
  std::vector<stream::client_id> ids_;
  std::vector<bus_index> buses_;  // by ID
};

/// Finds the IDs of XDELEX and XACKDEL behind `IDS numids`. Returns the fault, or nothing.
std::string_view find_counted_ids(resp::arguments args, std::size_t options, id_request& out) {
  out.counted = true;
  for (std::size_t i = options; i < args.size(); ++i) {
    if (is_reference_option(args[i])) continue;
    if (!is_word(args[i], "ids") || i + 1 == args.size()) return syntax_error;
    const auto count = base::parse_int64(args[i + 1]);
    if (!count || *count < 1) return "ERR Number of IDs must be a positive integer";
    if (static_cast<std::uint64_t>(*count) != args.size() - i - 2)
      return "ERR The `numids` parameter must match the number of arguments";
    out.first = i + 2;
    return {};
  }
  return syntax_error;
}

void start_split(stream_services& services, session& client, routed_request& request, id_request asked) {
  std::vector<bus_index> buses;
  for (const std::string_view text : request.args.subspan(asked.first)) {
    const auto id = stream::parse_id(text, 0);
    if (!id) return client.refuse(request, invalid_id);
    asked.ids.push_back({id->ms, id->seq});
  }
  for (const stream::client_id id : asked.ids) buses.push_back(bus_of_id(services, id));

  const bool one_bus = std::all_of(buses.begin(), buses.end(), [&](bus_index b) { return b == buses[0]; });
  if (!one_bus || buses[0] == command::no_bus) {
    // The IDs are of no bus: nothing is sent, and the merge of no replies is the answer.
    (new entries_by_bus_operation(services, client, request, request.args, asked, std::move(buses)))->start();
    return;
  }
  // The usual case, which is cheaper: one bus's reply is the reply.
  std::vector<std::string> there;
  for (const stream::client_id id : asked.ids) there.push_back(stream::to_string(stream::to_bus(id)));
  std::vector<std::string_view> args(request.args.begin(), request.args.end());
  std::copy(there.begin(), there.end(), args.begin() + static_cast<std::ptrdiff_t>(asked.first));
  services.forwarder.forward(client, request, buses[0], false, args);
}

}  // namespace

void start_length(stream_services& services, session& client, routed_request& request) {
  (new sum_operation(services, client, request, request.args))->start();
}

void start_trim(stream_services& services, session& client, routed_request& request) {
  std::size_t min_id = 0;
  if (const std::string fault = trim_fault(request.args, min_id); !fault.empty()) {
    return client.refuse(request, fault);
  }
  (new sum_operation(services, client, request, request.args, min_id))->start();
}

void start_delete(stream_services& services, session& client, routed_request& request) {
  start_split(services, client, request, {2, false, {}});
}

void start_acknowledge(stream_services& services, session& client, routed_request& request) {
  start_split(services, client, request, {3, false, {}});
}

void start_delete_counted(stream_services& services, session& client, routed_request& request) {
  const bool acknowledges = command::command_table()[request.command].name == "xackdel";
  id_request asked;
  if (const auto fault = find_counted_ids(request.args, acknowledges ? 3 : 2, asked); !fault.empty()) {
    return client.refuse(request, fault);
  }
  start_split(services, client, request, std::move(asked));
}

}  // namespace dualbus::handler
