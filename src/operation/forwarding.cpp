#include <dualbus/base/c_string.hpp>
#include <dualbus/base/log.hpp>
#include <dualbus/operation/forwarding.hpp>
#include <dualbus/resp/encoder.hpp>
#include <dualbus/resp/reply_reader.hpp>
#include <dualbus/stream/entry_id.hpp>
#include <dualbus/stream/read_request.hpp>

#include <algorithm>
#include <new>
#include <string>

namespace dualbus::operation {
namespace {

using command::command_spec;
using command::plan;
using command::route;

// The answer to XADD if clients cannot use the ID. It must not read as if nothing were stored.
void append_without_form(environment& env, command::bus_index bus, std::string_view id,
                         base::chunk_queue& out) {
  const std::string name = "bus '" + env.buses.name(bus) + "'";
  if (!stream::parse_id(id, 0)) return resp::encoder(out).error(nonsense_text(name));
  ++env.metrics.buses[bus].entries_omitted;
  base::error_limited(env.buses.name(bus),
                      "{} stored an entry as {}: its sequence is too large to have a form for clients", name,
                      base::in_log(id));
  resp::encoder(out).error(
      "ERR dualbus: the entry is stored, do not repeat it, but its ID on " + name + ", " + std::string(id) +
      ", has no form for clients, who cannot read it: delete it on that bus and use '*' as "
      "ID, or pin the stream with routing.keys");
}

// Entries that a consumer reads again are not consumed twice.
bool reads_own_entries(const command_spec& spec, resp::arguments args, const plan& p) {
  if (!spec.has(command::fact::reads_group)) return false;
  return std::any_of(p.keys.begin(), p.keys.end(), [&](std::uint32_t key) {
    const std::size_t id = key + p.keys.size();
    return id >= args.size() || !base::is_word(args[id], ">");
  });
}

forward_operation::messages messages_of(const command_spec& spec, resp::arguments args, const plan& p) {
  using messages = forward_operation::messages;
  if (spec.route == route::xadd) return messages::published;
  if (spec.route == route::xread && !reads_own_entries(spec, args, p)) return messages::consumed;
  return messages::none;
}

}  // namespace

forwarder::forwarder(environment& environment, parking_lot& parking, script_spread& scripts)
    : env_(environment), parking_(parking), scripts_(scripts) {}

forwarder::~forwarder() = default;

std::size_t forwarder::used_bytes() const {
  return pool_.in_use() * sizeof(forward_operation);
}

namespace {

// Encodes `args`, or else the request as it came.
auto writer_of(const routed_request& request, resp::arguments args) {
  return [&request, args](base::chunk_queue& out) {
    if (!args.empty()) {
      resp::encoder(out).request(args);
    } else if (request.verbatim) {
      out.append(request.raw);
    } else {
      resp::encoder(out).request(request.args);
    }
  };
}

}  // namespace

void forwarder::forward(session& client, routed_request& request, command::bus_index bus, bool translate_id,
                        resp::arguments args) {
  if (env_.durable.on()) [[unlikely]] {
    const durable_writes::way way = choose_way(client, request, bus);
    if (way.link != nullptr || way.confirm)
      return forward_durably(client, request, bus, translate_id, args, way);
  }
  backend::pipeline& requests = request.out.requests(bus, client.protocol(), client.database());
  const command_spec& spec = command::command_table()[request.command];
  const bool accepted = requests.accepts();
  if (accepted && !requests.encode(writer_of(request, args))) [[unlikely]]
    return refuse_without_memory(env_, client, request);
  auto* const op =
      pool_.create(*this, client, request, bus, translate_id, messages_of(spec, request.args, request.plan));
  client.enqueue(*op);
  if (!accepted) [[unlikely]]
    return op->on_failure(0, backend::failure::bus_down);
  requests.end(*op, 0, env_.turn.now);
  if (requests.congested()) client.await_drain(env_.buses.bus(bus), request.raw.size());
  // Readers that wait for the stream look behind the entry, in the same write to the bus.
  if (spec.route == route::xadd && client.database() == 0) {
    const std::uint32_t key = parking_.waited_for(request.args[1]);
    if (key == 0) return;
    if (request.out.staged()) {
      request.out.note_added(bus, request.args[1]);
    } else {
      const bool in_order = parking_.in_order(client.protocol(), client.database());
      if (in_order) op->note_waited_for(key);
      parking_.added(bus, key, in_order);
    }
  }
}

durable_writes::way forwarder::choose_way(session& client, routed_request& request, command::bus_index bus) {
  const command_spec& spec = command::command_table()[request.command];
  const bool confirm = env_.durable.confirms(client, spec, request.args, bus, request.plan);
  if (!request.out.staged()) return env_.durable.way_to(bus, client, confirm);
  if (confirm) request.out.note_durable(bus);
  return {nullptr, confirm};
}

// Over the durable link; or, if `way` names none, within a transaction that is confirmed.
void forwarder::forward_durably(session& client, routed_request& request, command::bus_index bus,
                                bool translate_id, resp::arguments args, durable_writes::way way) {
  backend::pipeline& requests = way.link != nullptr
                                    ? way.link->requests()
                                    : request.out.requests(bus, client.protocol(), client.database());
  const command_spec& spec = command::command_table()[request.command];
  const bool accepted = requests.accepts();
  if (accepted && !requests.encode(writer_of(request, args)))
    return refuse_without_memory(env_, client, request);
  auto* const op =
      pool_.create(*this, client, request, bus, translate_id, messages_of(spec, request.args, request.plan));
  client.enqueue(*op);
  if (way.confirm) op->note_confirm();
  if (!accepted) return op->on_failure(0, backend::failure::bus_down);
  if (way.link != nullptr) {
    // Readers that wait for an entry hear of it from their watcher, as of an entry that others add.
    op->note_durable_link();
    durable_writes::sent(client, bus);
    way.link->end(*op, 0, way.confirm, env_.turn.now);
  } else {
    requests.end(*op, 0, env_.turn.now);
    if (spec.route == route::xadd && client.database() == 0 && parking_.waited_for(request.args[1]) != 0)
      request.out.note_added(bus, request.args[1]);
  }
  if (requests.congested()) client.await_drain(env_.buses.bus(bus), request.raw.size());
}

std::string added_id(const environment& env, command::bus_index bus, std::string_view answer,
                     bool translates) {
  const resp::reply_value value = resp::reply_reader(answer).next();
  if (!value.is_string() || value.text.size() > stream::max_id_chars) return {};
  if (!translates) return std::string(value.text);
  char text[stream::max_id_chars];
  const char* const end = stream::write_client_id(text, value.text, env.buses.slot_of(bus));
  return end == nullptr ? std::string() : std::string(text, static_cast<std::size_t>(end - text));
}

metrics::outcome append_added(environment& env, command::bus_index bus, std::string_view answer,
                              base::chunk_queue& out) {
  const std::size_t line_end = answer.find('\n');
  if (answer[0] != '$' || answer[1] == '-' || line_end == std::string_view::npos) {
    out.append(answer);
    const bool failed = answer[0] == '-' || answer[0] == '!';
    return failed ? metrics::outcome::redis_error : metrics::outcome::ok;
  }
  const std::string_view id = answer.substr(line_end + 1, answer.size() - line_end - 3);
  const bool is_id = id.size() <= stream::max_id_chars;
  char text[stream::max_id_chars];
  if (const char* const end = is_id ? stream::write_client_id(text, id, env.buses.slot_of(bus)) : nullptr) {
    resp::encoder(out).bulk({text, end});
    return metrics::outcome::ok;
  }
  append_without_form(env, bus, is_id ? id : std::string_view(), out);
  return metrics::outcome::refused;
}

void forward_operation::count_messages(const backend::reply_view& answer) const {
  metrics::engine_counters& engine = owner_->engine();
  if (counted_ == messages::published) {
    if (answer.bytes[0] == '$' && answer.bytes[1] != '-') ++engine.messages_published;
  } else if (!answer.is_error()) {
    engine.messages_consumed += stream::entries_in(answer.bytes);
  }
}

void forward_operation::on_answered(std::uint32_t) {
  durable_writes::answered(owner_, bus_);
  on_ = connection::none;
}

void forward_operation::on_unconfirmed(std::uint32_t part, const backend::reply_view& answer,
                                       std::string_view why) {
  if (!confirm_) return on_reply(part, answer);  // a part of a transaction
  if (owner_ == nullptr) return destroy();
  const std::string id =
      counted_ == messages::published ? added_id(env_, bus_, answer.bytes, translate_id_) : std::string();
  resp::encoder(reply()).error(unconfirmed_text(env_.buses.name(bus_), answer.bytes, id, why));
  env_.times.add(bus_, arrived() + answer.held, answer.bus_time);
  owner_->engine().bus_time += answer.bus_time;
  if (counted_ != messages::none) count_messages(answer);
  finish(metrics::outcome::unconfirmed);
}

void forward_operation::on_reply(std::uint32_t, const backend::reply_view& answer) {
  if (waited_for_ != 0) {
    const bool added = answer.type == '$' && answer.bytes[1] != '-';
    forwarder_.parking_.added_answered(bus_, waited_for_, added);
  }
  if (owner_ == nullptr) return destroy();
  base::chunk_queue& out = reply();
  metrics::outcome result = answer.is_error() ? metrics::outcome::redis_error : metrics::outcome::ok;
  try {
    if (translate_id_) {
      result = append_added(env_, bus_, answer.bytes, out);
    } else {
      out.append(answer.bytes);
    }
  } catch (const std::bad_alloc&) {
    owner_->close(metrics::close_reason::memory);  // the client has a part of the reply
    return destroy();
  }
  env_.times.add(bus_, arrived() + answer.held, answer.bus_time);
  owner_->engine().bus_time += answer.bus_time;
  if (counted_ != messages::none) count_messages(answer);
  if (answer.is_error()) {
    if (answer.bytes.starts_with("-NOSCRIPT")) forwarder_.scripts_.forget();
    env_.buses.bus(bus_).note_error(answer.bytes);
  }
  finish(result);
}

void forward_operation::on_failure(std::uint32_t, backend::failure why) {
  if (waited_for_ != 0) forwarder_.parking_.added_answered(bus_, waited_for_, false);
  if (owner_ == nullptr) return destroy();
  resp::encoder(reply()).error(failure_text(env_, bus_, why));
  finish(outcome_of(why));
}

void forward_operation::destroy() {
  forwarder_.pool_.destroy(this);
}

}  // namespace dualbus::operation
