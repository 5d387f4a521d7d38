#include "stream_commands.hpp"

#include <dualbus/base/c_string.hpp>
#include <dualbus/client/session.hpp>
#include <dualbus/operation/forwarding.hpp>
#include <dualbus/operation/gather_operation.hpp>
#include <dualbus/resp/reply_reader.hpp>
#include <dualbus/stream/bounds.hpp>
#include <dualbus/stream/entry_id.hpp>

#include <algorithm>
#include <string>
#include <vector>

namespace dualbus::handler {
namespace {

using command::bus_index;

// --- XADD NOMKSTREAM: a stream exists if any bus has it

class careful_add_operation final : public gather_operation {
 public:
  /// `options_end` is the index of the ID.
  careful_add_operation(environment& environment, session& owner, routed_request& request, bus_index bus,
                        resp::arguments args, std::size_t options_end)
      : gather_operation(environment, owner, request, true),
        bus_(bus),
        confirm_(environment.durable.on() && request.plan.confirm),
        key_(args[1]) {
    for (std::size_t i = 0; i < args.size(); ++i) {
      careful_.emplace_back(args[i]);
      const bool option = i >= 2 && i < options_end && base::is_word(args[i], "nomkstream");
      if (!option) plain_.emplace_back(args[i]);
    }
  }

 protected:
  base::task<> run() override {
    add(careful_);
    parts all = co_await round();
    if (answer_error(all)) co_return;
    if (!is_null(all[0]) || env_.buses.count() == 1) {
      answer_id(all[0]);
      co_return;
    }
    for (std::size_t i = 0; i < env_.buses.count(); ++i) {
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
    send(bus_, std::vector<std::string_view>(args.begin(), args.end()), confirm_);
  }

  void answer_id(const part& p) {
    if (owner_ == nullptr) return;
    if (!is_null(p)) ++owner_->engine().messages_published;
    const metrics::outcome result = append_added(env_, bus_, p.reply, reply());
    answer(result, [](resp::encoder&, base::chunk_queue&) {});
  }

  bus_index bus_;
  const bool confirm_;
  std::string key_;
  std::vector<std::string> careful_, plain_;  // with and without NOMKSTREAM
};

bool is_automatic(std::string_view id) {
  id = base::as_c_string(id);
  return id == "*" || id.ends_with("-*");
}

}  // namespace

bool adds_as_is(const routed_request& request) {
  const command::xadd_arguments& where = request.plan.xadd;
  return is_automatic(request.args[where.id]) && where.min_id == 0 && !where.no_mkstream;
}

void start_add(stream_services& services, session& client, routed_request& request) {
  const command::plan& plan = request.plan;
  if (adds_as_is(request)) return services.forwarder.forward(client, request, plan.bus, true);
  const command::xadd_arguments& where = plan.xadd;
  const std::string_view id_text = request.args[where.id];
  const bool automatic = is_automatic(id_text);

  const int slot = services.buses.slot_of(plan.bus);
  std::vector<std::string_view> args(request.args.begin(), request.args.end());
  std::string id_there, min_id_there;
  if (!automatic) {
    const auto id = stream::parse_id(id_text, 0);
    // Redis refuses a text that is no ID, and 0-0, in its own words.
    if (id && (id->ms != 0 || id->seq != 0)) {
      const stream::client_id shown{id->ms, id->seq};
      const bool remapped = services.routing.router().table().rules().ids == command::explicit_ids::remap &&
                            stream::slot_of(shown) == 0;
      if (stream::slot_of(shown) != static_cast<std::uint64_t>(slot) && !remapped) {
        return client.refuse(request, "ERR dualbus: explicit ID '" + std::string(id_text) +
                                          "' is not one of bus '" + services.buses.name(plan.bus) +
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
    (new careful_add_operation(services, client, request, plan.bus, args, where.id))->start();
  } else {
    services.forwarder.forward(client, request, plan.bus, true, args);
  }
}

void start_stream_operation(stream_services& services, session& client, routed_request& request,
                            const command::command_spec& spec) {
  using start = void (*)(stream_services&, session&, routed_request&);
  static constexpr std::pair<std::string_view, start> starts[] = {
      {"xlen", start_length},
      {"xtrim", start_trim},
      {"xdel", start_delete},
      {"xack", start_acknowledge},
      {"xdelex", start_delete_counted},
      {"xackdel", start_delete_counted},
      {"xrange", start_range},
      {"xrevrange", start_range},
      {"xgroup", start_group},
      {"xpending", start_pending},
      {"xclaim", start_claim},
      {"xautoclaim", start_claim},
      {"xinfo", start_info},
  };
  for (const auto& [name, run] : starts) {
    if (name == spec.name) return run(services, client, request);
  }
  client.refuse(request, "ERR dualbus: command '" + std::string(spec.name) +
                             "' is not supported on logical streams: pin the key with routing.keys");
}

}  // namespace dualbus::handler
