#include <dualbus/base/numbers.hpp>
#include <dualbus/resp/reply_reader.hpp>
#include <dualbus/session/dispatcher.hpp>
#include <dualbus/session/gather_operation.hpp>
#include <dualbus/session/session.hpp>
#include <dualbus/session/stream_operations.hpp>
#include <dualbus/session/worker_context.hpp>
#include <dualbus/stream/bounds.hpp>
#include <dualbus/stream/entry_id.hpp>

#include <algorithm>
#include <string>
#include <vector>

namespace dualbus::session {
namespace {

using command::bus_index;

constexpr std::string_view invalid_id = "ERR Invalid stream ID specified as stream command argument";

// --- XADD NOMKSTREAM: a stream that exists on any bus exists
// -----------------------------------------------------

class careful_add_operation final : public gather_operation {
 public:
  /// `options_end` is the index of the ID.
  careful_add_operation(worker_context& context, session& owner, std::uint16_t command, bus_index bus,
                        resp::arguments args, std::size_t options_end)
      : gather_operation(context, owner, command, true), bus_(bus), key_(args[1]) {
    for (std::size_t i = 0; i < args.size(); ++i) {
      careful_.emplace_back(args[i]);
      const bool option = i >= 2 && i < options_end && base::equals_ignoring_case(args[i], "nomkstream");
      if (!option) plain_.emplace_back(args[i]);
    }
  }

 protected:
  base::task<> run() override {
    add(careful_);
    parts all = co_await round();
    if (answer_error(all)) co_return;
    if (!is_null(all[0]) || context_.bus_count() == 1) {
      answer_id(all[0]);
      co_return;
    }
    for (std::size_t i = 0; i < context_.bus_count(); ++i) {
      const std::string_view exists[] = {"EXISTS", key_};
      if (i != bus_) send(static_cast<bus_index>(i), exists);
    }
    all = co_await round();
    if (answer_error(all)) co_return;
    const bool found = std::any_of(all.begin(), all.end(),
                                   [](const part& p) { return resp::as_integer(p.reply).value_or(0) > 0; });
    if (!found) {
      answer(metrics::outcome::ok, [](resp::encoder& out, base::chunk_queue&) { out.null(); });
      co_return;
    }
    add(plain_);
    all = co_await round();
    if (!answer_error(all)) answer_id(all[0]);
  }

 private:
  static bool is_null(const part& p) { return resp::reply_reader(p.reply).next().null; }

  void add(const std::vector<std::string>& args) {
    send(bus_, std::vector<std::string_view>(args.begin(), args.end()));
  }

  void answer_id(const part& p) {
    const resp::reply_value id = resp::reply_reader(p.reply).next();
    const auto stored = stream::parse_id(id.text, 0);
    answer(metrics::outcome::ok, [&](resp::encoder& out, base::chunk_queue&) {
      if (id.null || !stored) return out.null();
      out.bulk(stream::to_string(stream::to_client({stored->ms, stored->seq}, context_.slot_of(bus_))));
    });
  }

  bus_index bus_;
  std::string key_;
  std::vector<std::string> careful_, plain_;  // with and without NOMKSTREAM
};

// --- XLEN, XDEL: sums
// ------------------------------------------------------------------------------------------------

class sum_operation : public single_round_operation {
 public:
  sum_operation(worker_context& context, session& owner, std::uint16_t command, resp::arguments args)
      : single_round_operation(context, owner, command), args_(args) {}

 protected:
  void on_start() override {
    for (std::size_t i = 0; i < context_.bus_count(); ++i) send(static_cast<bus_index>(i), args_);
  }

  void on_round(const parts& all) override {
    if (answer_error(all)) return;
    std::int64_t sum = 0;
    for (const part& p : all) sum += resp::as_integer(p.reply).value_or(0);
    answer_integer(sum);
  }

  resp::arguments args_;  // of the first round, which is the only one
};

class delete_operation final : public sum_operation {
 public:
  delete_operation(worker_context& context, session& owner, std::uint16_t command, resp::arguments args,
                   std::vector<stream::client_id> ids)
      : sum_operation(context, owner, command, args), ids_(std::move(ids)) {}

 protected:
  // An ID of a slot that no bus has matches nothing.
  void on_start() override {
    for (std::size_t i = 0; i < context_.bus_count(); ++i) {
      const auto bus = static_cast<bus_index>(i);
      std::vector<std::string> there;
      for (const stream::client_id id : ids_) {
        if (stream::slot_of(id) == static_cast<std::uint64_t>(context_.slot_of(bus))) {
          there.push_back(stream::to_string(stream::to_bus(id)));
        }
      }
      if (there.empty()) continue;
      std::vector<std::string_view> request = {args_[0], args_[1]};
      request.insert(request.end(), there.begin(), there.end());
      send(bus, request);
    }
  }

 private:
  std::vector<stream::client_id> ids_;
};

void start_delete(worker_context& context, session& client, const request& what) {
  std::vector<stream::client_id> ids;
  for (const std::string_view text : what.args.subspan(2)) {
    const auto id = stream::parse_id(text, 0);
    if (!id) return client.refuse(what.command, invalid_id);
    ids.push_back({id->ms, id->seq});
  }
  (new delete_operation(context, client, what.command, what.args, std::move(ids)))->start();
}

}  // namespace

void start_add(worker_context& context, session& client, const request& what, const command::plan& plan) {
  const command::xadd_arguments& where = plan.xadd;
  const std::string_view id_text = what.args[where.id];
  const bool automatic = id_text == "*" || id_text.ends_with("-*");
  if (automatic && where.min_id == 0 && !where.no_mkstream)
    return forward(context, client, what, plan.bus, true);

  const int slot = context.slot_of(plan.bus);
  std::vector<std::string_view> args(what.args.begin(), what.args.end());
  std::string id_there, min_id_there;
  if (!automatic) {
    const auto id = stream::parse_id(id_text, 0);
    // What is no ID, or 0-0, Redis refuses in its own words.
    if (id && (id->ms != 0 || id->seq != 0)) {
      const stream::client_id shown{id->ms, id->seq};
      if (stream::slot_of(shown) != static_cast<std::uint64_t>(slot)) {
        return client.refuse(what.command,
                             "ERR dualbus: explicit ID '" + std::string(id_text) + "' is not one of bus '" +
                                 context.bus_name(plan.bus) +
                                 "', where the message belongs: use '*', or pin the stream with "
                                 "routing.keys");
      }
      id_there = stream::to_string(stream::to_bus(shown));
      args[where.id] = id_there;
    }
  }
  if (where.min_id != 0) {
    if (const auto id = stream::parse_id(args[where.min_id], 0)) {
      min_id_there = stream::to_string(stream::min_id_on(slot, {id->ms, id->seq}));
      args[where.min_id] = min_id_there;
    }
  }
  if (where.no_mkstream) {
    (new careful_add_operation(context, client, what.command, plan.bus, args, where.id))->start();
  } else {
    forward(context, client, what, plan.bus, true, args);
  }
}

void start_stream_operation(worker_context& context, session& client, const request& what,
                            const command::command_spec& spec) {
  using start = void (*)(worker_context&, session&, const request&);
  static constexpr std::pair<std::string_view, start> starts[] = {
      {"xlen", [](worker_context& c, session& s,
                  const request& r) { (new sum_operation(c, s, r.command, r.args))->start(); }},
      {"xdel", start_delete},
      {"xrange", start_range},
      {"xrevrange", start_range},
      {"xgroup", start_group},
  };
  for (const auto& [name, run] : starts) {
    if (name == spec.name) return run(context, client, what);
  }
  client.refuse(what.command, "ERR dualbus: command '" + std::string(spec.name) +
                                  "' is not supported on logical streams: pin the key with routing.keys");
}

}  // namespace dualbus::session
