#include <dualbus/resp/encoder.hpp>
#include <dualbus/resp/reply_reader.hpp>
#include <dualbus/session/blocking_operation.hpp>
#include <dualbus/session/dispatcher.hpp>
#include <dualbus/session/exec_operation.hpp>
#include <dualbus/session/session.hpp>
#include <dualbus/session/transaction.hpp>
#include <dualbus/session/worker_context.hpp>

#include <algorithm>
#include <new>
#include <utility>

namespace dualbus::session {
namespace {

constexpr std::string_view multi = "*1\r\n$5\r\nMULTI\r\n";
constexpr std::string_view exec = "*1\r\n$4\r\nEXEC\r\n";
constexpr std::string_view nothing_done = "-EXECABORT Transaction discarded because of previous errors.\r\n";

void tell(const std::vector<backend::pipeline::collected>& requests, std::string_view reply) {
  for (const auto& r : requests) r.sink->on_reply(r.part, {reply, reply[0], {}});
}

// EXEC has not been sent: nothing of the transaction is carried out, whatever became of its parts.
std::string text_before_exec(const worker_context& context, command::bus_index bus, backend::failure why) {
  constexpr std::string_view doubt = ", outcome unknown";
  std::string text = failure_text(context, bus, why);
  if (text.ends_with(doubt)) text.resize(text.size() - doubt.size());
  return text;
}

}  // namespace

void exec_operation::block::speak(resp::protocol version, base::time_point now) {
  if (link_->version == version) return;
  const std::string_view hello[] = {"HELLO", version == resp::protocol::resp3 ? "3" : "2"};
  resp::encoder(link_->requests.begin()).request(hello);
  link_->requests.end(nobody(), 0, now);
  respeaks_ = true;
}

exec_operation::exec_operation(worker_context& context, session& owner, std::uint16_t command)
    : operation(context, owner, command), version_(owner.protocol()) {}

exec_operation::~exec_operation() {
  if (plain_) context_.transactions.give_transaction(std::move(plain_));
}

exec_operation::block::block(exec_operation& exec, command::bus_index bus)
    : exec_(exec), bus_(bus), bytes_(exec.context_.bus_chunks) {}

void exec_operation::destroy() {
  context_.transactions.operations.destroy(this);
}

// ------------------------------------------------------------------------------------------------- sending

void exec_operation::start(std::unique_ptr<transaction> what) {
  transaction_stage& stage = context_.transactions;
  if (what->is_plain(context_.routing_number())) return start_plain(std::move(what));
  count_ = what->count();
  running_commands_ = true;
  stage.play(*owner_, *what);
  running_commands_ = false;
  postponed_ = stage.take_postponed();
  if (owner_ != nullptr) last_ = owner_->newest();

  for (std::size_t i = 0; i < context_.bus_count(); ++i) {
    const auto bus = static_cast<command::bus_index>(i);
    const bool watched = what->watches() && what->watched_bus() == bus;
    if (!stage.has(bus) && !watched) continue;
    block& added = add_block(bus);
    if (watched) decider_ = &added;
    stage.take(bus, added.bytes_, added.requests_);
    added.only_whole_keys_ = !watched && stage.only_whole_keys(bus);
    added.databases_ = stage.databases(bus);
    added.count_ = added.requests_.size();
  }
  for (const auto& [bus, key] : stage.added()) added_.emplace_back(bus, key);

  const bool gone = owner_ == nullptr;
  const bool lost = what->has_lost_watch(context_.routing_number());
  const bool crosses = blocks_.size() > 1 && !what->may_cross() && !what->watches();
  if (decider_ != nullptr && !lost && !gone) {
    decider_->link_ = what->take_link();
    decider_->watches_ = true;
    decider_->speak(version_, context_.now);
    decider_->elsewhere_ = what->watching_database() != database_;
  }
  stage.give_transaction(std::move(what));

  if (gone) return abort(nothing_done, metrics::outcome::refused);
  // Nobody has seen whether a watched key was changed in the meantime.
  if (lost) {
    return abort(owner_->protocol() == resp::protocol::resp3 ? "_\r\n" : "*-1\r\n", metrics::outcome::ok);
  }
  if (crosses) {
    return abort_with("EXECABORT Transaction discarded because of: ERR dualbus: the routing was changed",
                      metrics::outcome::refused);
  }
  if (blocks_.empty()) return conclude();
  if (!postponed_.empty()) owner_->hold_behind_exec();  // they may change what is next
  if (!survey()) begin();
}

void exec_operation::begin() {
  if (blocks_.size() == 1 && !blocks_.front()->selects()) return send_at_once(*blocks_.front());
  send_to_queue();
}

exec_operation::block& exec_operation::add_block(command::bus_index bus) {
  base::object_pool<block>& pool = context_.transactions.blocks;
  blocks_.push_back(block_pointer(pool.create(*this, bus), block_deleter{&pool}));
  return *blocks_.back();
}

void exec_operation::start_plain(std::unique_ptr<transaction> what) {
  plain_ = std::move(what);
  count_ = plain_->count();
  last_ = this;
  plain_->begin_changes(context_.daemon.changes);
  std::string_view asked;
  for (const transaction::plain_request& p : plain_->plain()) {
    const std::string_view key = plain_->key_of(p);
    if (!p.adds || (asked.data() != nullptr && key == asked)) continue;
    if (context_.parking().waited_for(key) != 0) added_.emplace_back(plain_->bus(), key);
    asked = key;
  }
  block& only = add_block(plain_->bus());
  only.count_ = count_;
  send_at_once(only, plain_->requests());
}

void exec_operation::send_at_once(block& only, std::string_view plain) {
  executing_ = true;
  outstanding_ = 1;
  backend::bus& bus = context_.bus(only.bus_);
  const bool shared = only.link_ == nullptr;
  backend::pipeline& requests =
      shared ? bus.requests(version_, database_, context_.now) : only.link_->requests;
  if (!requests.accepts()) return failed(only, backend::failure::bus_down);
  const std::size_t before = requests.unsent_bytes();
  const auto write = [&](base::chunk_queue& out) {
    out.append(multi);
    plain_ ? out.append(plain) : out.splice(only.bytes_);
    out.append(exec);
  };
  if (!requests.encode(write)) [[unlikely]]
    return abort_with(out_of_memory_text, metrics::outcome::refused);
  requests.end_block(only, static_cast<std::uint32_t>(only.count_) + 2, context_.now);
  only.stage_ = block::stage::executing;
  if (shared) {
    if (owner_ != nullptr && owner_->only_acknowledged())
      hold_output_back();  // whoever has sent EXEC needs no QUEUED before its reply
    if (owner_ != nullptr && requests.congested()) owner_->await_drain(bus, requests.unsent_bytes() - before);
    return tell_added(only.bus_);
  }
  if (owner_ != nullptr) owner_->hold_behind_exec();
  set_deadline();
}

void exec_operation::send_to_queue() {
  if (owner_ != nullptr) owner_->hold_behind_exec();
  outstanding_ = blocks_.size();
  transaction_stage& stage = context_.transactions;
  if (!stage.anybody_waits() && borrow_links()) return queue_everywhere();
  waiting_ = true;
  if (context_.configuration().backend.dedicated_connections == 0) return give_up_waiting();
  set_deadline();
  stage.await_links(*this);
}

bool exec_operation::retry() {
  if (!borrow_links()) return false;
  waiting_ = false;
  queue_everywhere();
  return true;
}

void exec_operation::give_up_waiting() {
  waiting_ = false;
  context_.transactions.forget(*this);
  abort_with("EXECABORT Transaction discarded because of: " + no_connection_text(context_, lacking_),
             metrics::outcome::refused);
}

void exec_operation::queue_everywhere() {
  for (const auto& b : blocks_) {
    base::chunk_queue& out = b->link_->requests.begin();
    choose_databases(*b, out);
    out.append(multi);
    out.splice(b->bytes_);
    b->link_->requests.end_block(*b, b->before_exec(), context_.now);
    b->stage_ = block::stage::queueing;
  }
  set_deadline();
}

// A bus that lacks one of the databases says so before anything is carried out.
void exec_operation::choose_databases(block& of, base::chunk_queue& out) {
  if (!of.selects()) return;
  of.databases_.push_back(database_);
  for (const int database : of.databases_) append_select(context_, of.bus_, database, out);
  of.reselects_ = true;
}

bool exec_operation::borrow_links() {
  const std::size_t limit = context_.configuration().backend.dedicated_connections;
  for (const auto& b : blocks_) {
    if (b->link_ != nullptr) continue;
    b->link_ = context_.bus(b->bus_).dedicated().borrow(backend::purpose::moment, version_, database_, limit,
                                                        context_.now);
    if (b->link_ != nullptr) continue;
    lacking_ = b->bus_;
    // All or none: two that hold what the other one needs would wait for ever.
    for (const auto& other : blocks_) {
      if (other.get() != decider_) give_back(*other, true);
    }
    return false;
  }
  return true;
}

void exec_operation::all_queued() {
  stop_clock();
  std::string problem;
  for (const auto& b : blocks_) {
    if (b->problem_.empty() && !b->holds_all())
      b->problem_ = failure_text(context_, b->bus_, backend::failure::bus_down);
    if (problem.empty()) problem = b->problem_;
  }
  if (!problem.empty()) {
    return abort_with("EXECABORT Transaction discarded because of: " + problem, metrics::outcome::refused);
  }
  executing_ = true;
  outstanding_ = blocks_.size();
  if (decider_ != nullptr) {
    send_exec(*decider_);
  } else {
    for (const auto& b : blocks_) send_exec(*b);
  }
  set_deadline();
}

void exec_operation::send_exec(block& to) {
  to.link_->requests.begin().append(exec);
  to.link_->requests.end(to, to.before_exec(), context_.now);
  to.stage_ = block::stage::executing;
}

void exec_operation::decided() {
  stop_clock();
  const block* const decider = std::exchange(decider_, nullptr);
  for (const auto& b : blocks_) {
    if (b.get() == decider) continue;
    if (b->holds_all()) {
      send_exec(*b);
    } else {
      failed(*b, backend::failure::bus_down);
    }
  }
  set_deadline();
}

// ------------------------------------------------------------------------------------------------- replies

bool exec_operation::block::holds_all() const {
  return link_ != nullptr && link_->requests.connected() &&
         link_->requests.connection_number() == connection_;
}

void exec_operation::block::on_reply(std::uint32_t part, const backend::reply_view& reply) {
  if (stage_ == stage::asking) return exec_.surveyed(*this, reply);
  if (part >= before_exec()) return exec_.executed(*this, reply);
  if (reply.is_error() && problem_.empty()) {
    problem_ = resp::reply_reader(reply.bytes).next().text;
    exec_.context_.bus(bus_).note_error(reply.bytes);
  }
  if (exec_.executing_ || part + 1 < before_exec()) return;
  connection_ = link_ != nullptr ? link_->requests.connection_number() : 0;
  if (link_ != nullptr) link_->requests.set_outlasting(false);
  answered_ = true;
  stage_ = stage::queued;
  if (--exec_.outstanding_ == 0) exec_.all_queued();
}

void exec_operation::block::on_failure(std::uint32_t, backend::failure why) {
  exec_.failed(*this, why);
}

void exec_operation::executed(block& from, const backend::reply_view& reply) {
  resp::reply_reader reader(reply.bytes);
  const resp::reply_value head = reader.next();
  // A health check's PING may have been queued as the last one.
  const bool done = head.type == '*' && !head.null && head.elements >= from.count_;
  const bool clean = done || head.null || reply.is_error();
  from.stage_ = block::stage::idle;
  from.watches_ = false;
  if (!done && (blocks_.size() == 1 || decider_ == &from)) {
    give_back(from, clean);
    // The client has seen QUEUED where Redis would have told it.
    if (reply.is_error() && !from.problem_.empty())
      return abort_with("EXECABORT Transaction discarded because of: " + from.problem_,
                        metrics::outcome::redis_error);
    return abort(reply.bytes, reply.is_error() ? metrics::outcome::redis_error : metrics::outcome::ok);
  }
  if (plain_) return answer_plain(reply.bytes, reply.bus_time);
  const std::vector<backend::pipeline::collected> requests = std::move(from.requests_);
  if (from.link_ != nullptr) tell_added(from.bus_);
  give_back(from, clean);
  if (decider_ == &from && blocks_.size() > 1) decided();
  from.answered_ = true;
  if (--outstanding_ == 0) conclude();  // may be the end of this and of `from`
  if (!done) return tell(requests, reply.is_error() ? reply.bytes : nothing_done);
  for (const auto& r : requests) {
    const std::string_view element = reader.skip();
    r.sink->on_reply(r.part, {element, element[0], reply.bus_time});
  }
}

void exec_operation::answer_plain(std::string_view reply_bytes, base::duration bus_time) {
  if (owner_ == nullptr) return destroy();
  try {
    write_plain(reply_bytes, bus_time);
  } catch (const std::bad_alloc&) {
    owner_->close(metrics::close_reason::memory);  // it has a part of the reply
    return destroy();
  }
  finish(metrics::outcome::ok);
}

void exec_operation::write_plain(std::string_view reply_bytes, base::duration bus_time) {
  const command::bus_index bus = plain_->bus();
  metrics::engine_counters& engine = owner_->engine();
  engine.bus_time += bus_time;
  context_.observe(bus, arrived(), bus_time);
  base::chunk_queue& out = reply();
  resp::encoder(out).array(count_);
  resp::reply_reader reader(reply_bytes);
  bool translated = reader.next().elements != count_;  // no more than was asked for
  const std::string_view elements = reader.rest();
  for (const transaction::plain_request& p : plain_->plain()) translated |= p.translates;
  if (!translated) out.append(elements);
  for (const transaction::plain_request& p : plain_->plain()) {
    const std::string_view element = reader.skip();
    const bool failed = element[0] == '-' || element[0] == '!';
    metrics::outcome result = failed ? metrics::outcome::redis_error : metrics::outcome::ok;
    if (p.adds && element[0] == '$' && element[1] != '-') ++engine.messages_published;
    if (translated && p.translates) {
      result = append_added(context_, bus, element, out);
    } else if (translated) {
      out.append(element);
    }
    owner_->count(p.command, result);
  }
}

void exec_operation::failed(block& at, backend::failure why) {
  if (timed_out_ && why != backend::failure::bus_down) why = backend::failure::bus_timeout;
  give_back(at, false);
  at.answered_ = true;
  if (at.stage_ == block::stage::asking) {
    at.problem_ = text_before_exec(context_, at.bus_, why);
    if (--outstanding_ == 0) end_survey();
    return;
  }
  if (!executing_) {
    at.problem_ = text_before_exec(context_, at.bus_, why);
    if (--outstanding_ == 0) all_queued();
    return;
  }
  if (blocks_.size() == 1 || decider_ == &at)
    return abort_with(failure_text(context_, at.bus_, why), outcome_of(why));
  const std::vector<backend::pipeline::collected> requests = std::move(at.requests_);
  if (--outstanding_ == 0) conclude();
  for (const auto& r : requests) r.sink->on_failure(r.part, why);
}

// ------------------------------------------------------------------------------------------- given up

void exec_operation::abort_with(std::string_view error, metrics::outcome outcome) {
  std::string text = "-" + std::string(error);
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c == '\r' || c == '\n'; }, ' ');
  abort(text + "\r\n", outcome);
}

void exec_operation::abort(std::string_view reply_bytes, metrics::outcome outcome) {
  stop_clock();
  outstanding_ = 0;
  std::vector<backend::pipeline::collected> requests;
  for (const auto& b : blocks_) {
    give_back(*b, b->stage_ == block::stage::idle || b->stage_ == block::stage::queued);
    requests.insert(requests.end(), b->requests_.begin(), b->requests_.end());
  }
  for (const absent_request& a : absent_) requests.push_back(a.request);
  if (owner_ == nullptr) {
    destroy();
  } else {
    owner_->silence(*this, *last_);
    for (const postponed_request& p : postponed_) owner_->abandon(*p.place);
    owner_->set_database(database_);  // no SELECT was carried out
    reply().append(reply_bytes);
    owner_->release_behind_exec();
    finish(outcome);
  }
  tell(requests, nothing_done);
}

}  // namespace dualbus::session
