#include <dualbus/resp/encoder.hpp>
#include <dualbus/resp/reply_reader.hpp>
#include <dualbus/session/operation.hpp>
#include <dualbus/session/session.hpp>
#include <dualbus/session/worker_context.hpp>
#include <dualbus/stream/entry_id.hpp>

namespace dualbus::session {

operation::operation(worker_context& context, session& owner, std::uint16_t command)
    : context_(context),
      owner_(&owner),
      stash_(context.client_chunks),
      arrived_(context.now),
      command_(command),
      muted_(owner.mutes_reply()) {}

base::chunk_queue& operation::reply() {
  return owner_->reply_target(*this);
}

void operation::finish(metrics::outcome outcome) {
  owner_->finish(*this, outcome);
}

void forward_operation::on_reply(std::uint32_t, const backend::reply_view& answer) {
  if (owner_ == nullptr) return destroy();
  base::chunk_queue& out = reply();
  if (translate_id_ && answer.type == '$') {
    const resp::reply_value id = resp::reply_reader(answer.bytes).next();
    const auto parsed = stream::parse_id(id.text, 0);
    if (parsed && !id.null) {
      char text[stream::max_id_chars];
      const auto shown = stream::to_client({parsed->ms, parsed->seq}, context_.slot_of(bus_));
      resp::encoder(out).bulk({text, stream::write_id(text, shown.ms, shown.seq)});
    } else {
      out.append(answer.bytes);
    }
  } else {
    out.append(answer.bytes);
  }
  context_.observe(bus_, arrived(), answer.bus_time);
  finish(answer.is_error() ? metrics::outcome::redis_error : metrics::outcome::ok);
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
