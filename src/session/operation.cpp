#include <dualbus/base/log.hpp>
#include <dualbus/resp/encoder.hpp>
#include <dualbus/resp/reply_reader.hpp>
#include <dualbus/session/operation.hpp>
#include <dualbus/session/session.hpp>
#include <dualbus/session/slow_log.hpp>
#include <dualbus/session/worker_context.hpp>
#include <dualbus/stream/entry_id.hpp>
#include <dualbus/stream/read_request.hpp>

#include <algorithm>
#include <new>
#include <utility>

namespace dualbus::session {
namespace {

// XADD's answer when its ID is none that clients could use. It must not read as if nothing were stored.
void append_without_form(worker_context& context, command::bus_index bus, std::string_view id,
                         base::chunk_queue& out) {
  const std::string name = "bus '" + context.bus_name(bus) + "'";
  if (!stream::parse_id(id, 0)) return resp::encoder(out).error(nonsense_text(name));
  ++context.metrics.buses[bus].entries_omitted;
  base::error_limited(context.bus_name(bus),
                      "{} stored an entry as {}: its sequence is too large to have a form for clients", name,
                      base::in_log(id));
  resp::encoder(out).error(
      "ERR dualbus: the entry is stored, do not repeat it, but its ID on " + name + ", " + std::string(id) +
      ", has no form for clients, who cannot read it: delete it on that bus and use '*' as "
      "ID, or pin the stream with routing.keys");
}

}  // namespace

operation::operation(worker_context& context, session& owner, std::uint16_t command)
    : context_(context),
      owner_(&owner),
      database_(owner.database()),
      stash_(context.client_chunks, true),
      change_(std::move(context.changing)),
      arrived_(context.now),
      command_(command),
      muted_(owner.mutes_reply()) {
  if (context.keeps_arguments && !context.arguments.empty()) {
    arguments_ = std::make_unique<std::vector<std::string>>(cut_arguments(context.arguments));
  }
}

std::uint64_t operation::client() const {
  return owner_ == nullptr ? 0 : owner_->id();
}

base::chunk_queue& operation::reply() {
  return owner_->reply_target(*this);
}

void operation::finish(metrics::outcome outcome) {
  owner_->finish(*this, outcome);
}

metrics::outcome append_added(worker_context& context, command::bus_index bus, std::string_view answer,
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
  if (const char* const end = is_id ? stream::write_client_id(text, id, context.slot_of(bus)) : nullptr) {
    resp::encoder(out).bulk({text, end});
    return metrics::outcome::ok;
  }
  append_without_form(context, bus, is_id ? id : std::string_view(), out);
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

void forward_operation::on_reply(std::uint32_t, const backend::reply_view& answer) {
  if (owner_ == nullptr) return destroy();
  base::chunk_queue& out = reply();
  metrics::outcome result = answer.is_error() ? metrics::outcome::redis_error : metrics::outcome::ok;
  try {
    if (translate_id_) {
      result = append_added(context_, bus_, answer.bytes, out);
    } else {
      out.append(answer.bytes);
    }
  } catch (const std::bad_alloc&) {
    owner_->close(metrics::close_reason::memory);  // it has a part of the reply
    return destroy();
  }
  context_.observe(bus_, arrived(), answer.bus_time);
  owner_->engine().bus_time += answer.bus_time;
  if (counted_ != messages::none) count_messages(answer);
  if (answer.is_error()) {
    if (answer.bytes.starts_with("-NOSCRIPT")) context_.scripts.forget();
    context_.bus(bus_).note_error(answer.bytes);
  }
  finish(result);
}

void forward_operation::on_failure(std::uint32_t, backend::failure why) {
  if (owner_ == nullptr) return destroy();
  resp::encoder(reply()).error(failure_text(context_, bus_, why));
  finish(outcome_of(why));
}

void forward_operation::destroy() {
  context_.forwards.destroy(this);
}

void local_operation::destroy() {
  context_.locals.destroy(this);
}

std::string failure_text(const worker_context& context, command::bus_index bus, backend::failure why) {
  const std::string name = "'" + context.bus_name(bus) + "'";
  switch (why) {
    case backend::failure::bus_down:
      return "BUSDOWN bus " + name + " is unreachable: command not sent";
    case backend::failure::bus_lost:
      return "BUSLOST bus " + name + ": connection lost after the command was sent, outcome unknown";
    case backend::failure::bus_timeout:
      return "BUSTIMEOUT bus " + name + ": no answer within " +
             std::to_string(context.configuration().backend.request_timeout.count()) +
             " ms after the command was sent, outcome unknown";
  }
  return {};
}

std::string nonsense_text(std::string_view who) {
  return "ERR dualbus: " + std::string(who) + " gave an answer that Redis does not give";
}

metrics::outcome outcome_of(backend::failure why) {
  switch (why) {
    case backend::failure::bus_down:
      return metrics::outcome::bus_down;
    case backend::failure::bus_lost:
      return metrics::outcome::bus_lost;
    default:
      return metrics::outcome::bus_timeout;
  }
}

}  // namespace dualbus::session
