#include <dualbus/client/session.hpp>
#include <dualbus/operation/blocking_operation.hpp>
#include <dualbus/operation/exec_operation.hpp>
#include <dualbus/operation/forwarding.hpp>
#include <dualbus/operation/leftovers.hpp>
#include <dualbus/operation/transaction.hpp>
#include <dualbus/resp/encoder.hpp>
#include <dualbus/resp/reply_reader.hpp>

#include <algorithm>
#include <new>
#include <utility>

namespace dualbus::operation {
namespace {

constexpr std::string_view multi = "*1\r\n$5\r\nMULTI\r\n";
constexpr std::string_view exec = "*1\r\n$4\r\nEXEC\r\n";
constexpr std::string_view nothing_done = "-EXECABORT Transaction discarded because of previous errors.\r\n";

void tell(const std::vector<backend::pipeline::collected>& requests, std::string_view reply) {
  for (const auto& r : requests) r.sink->on_reply(r.part, {reply, reply[0], {}});
}

// EXEC has not been sent: nothing of the transaction is carried out, whatever happened to its parts.
std::string text_before_exec(const environment& environment, command::bus_index bus, backend::failure why) {
  constexpr std::string_view doubt = ", outcome unknown";
  std::string text = failure_text(environment, bus, why);
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

exec_operation::exec_operation(exec_environment& environment, session& owner, routed_request& request)
    : request_operation(environment, owner, request), exec_(environment), version_(owner.protocol()) {}

exec_operation::~exec_operation() = default;

exec_operation::block::block(exec_operation& exec, command::bus_index bus)
    : exec_(exec), bus_(bus), bytes_(exec.exec_.request_chunks) {}

void exec_operation::destroy() {
  exec_.pools.operations.destroy(this);
}

// ------------------------------------------------------------------------------------------------- sending

void exec_operation::start(transaction_pointer queued) {
  if (queued->is_plain(env_.routing.number())) return start_plain(std::move(queued));
  const bool lost = queued->has_lost_watch(env_.routing.number());
  std::vector<question> questions;
  try {
    collect(*queued, lost);
    questions = survey();
  } catch (const std::bad_alloc&) {
    return end_without_memory();
  }
  const bool gone = owner_ == nullptr;
  const bool crosses = blocks_.size() > 1 && !queued->may_cross() && decider_ == nullptr;
  queued.reset();

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
  if (!postponed_.empty()) owner_->hold_behind_exec();  // they may change the meaning of later requests
  questions.empty() ? begin() : ask(questions);
}

void exec_operation::collect(transaction& queued, bool lost) {
  transaction_stage& stage = exec_.stage;
  count_ = queued.count();
  running_commands_ = true;
  stage.play(*owner_, queued);
  running_commands_ = false;
  postponed_ = stage.take_postponed();
  if (owner_ != nullptr) last_ = owner_->newest();

  for (std::size_t i = 0; i < env_.buses.count(); ++i) {
    const auto bus = static_cast<command::bus_index>(i);
    const bool watched = queued.watches() && queued.watched_bus() == bus;
    if (!stage.has(bus) && !watched) continue;
    block& added = add_block(bus);
    if (watched) decider_ = &added;
    stage.take(bus, added.bytes_, added.requests_);
    added.only_whole_keys_ = !watched && stage.only_whole_keys(bus);
    added.databases_ = stage.databases(bus);
    added.count_ = added.requests_.size();
    added.confirm_ = stage.durable(bus) || (added.count_ > 0 && queued.writes() && confirms_all(bus));
  }
  for (const auto& [bus, key] : stage.added()) added_.emplace_back(bus, key);

  if (decider_ == nullptr || lost || owner_ == nullptr) return;
  decider_->link_ = queued.take_link();
  decider_->watches_ = true;
  decider_->speak(version_, env_.turn.now);
  decider_->elsewhere_ = queued.watching_database() != database_;
}

// No bus has anything of it yet. The requests that were played wait for answers, but for no longer than that.
void exec_operation::end_without_memory() {
  running_commands_ = true;  // closing the client does not free this
  if (owner_ != nullptr) owner_->close(metrics::close_reason::memory);
  exec_.stage.give_up();
  for (const auto& b : blocks_) {
    give_back(*b, false);
    tell(b->requests_, nothing_done);
  }
  destroy();
}

void exec_operation::begin() {
  if (blocks_.size() == 1 && !blocks_.front()->selects()) return send_at_once(*blocks_.front());
  send_to_queue();
}

exec_operation::block& exec_operation::add_block(command::bus_index bus) {
  base::object_pool<block>& pool = exec_.pools.blocks;
  blocks_.push_back(block_pointer(pool.create(*this, bus), block_deleter{&pool}));
  return *blocks_.back();
}

void exec_operation::start_plain(transaction_pointer queued) {
  plain_ = std::move(queued);
  count_ = plain_->count();
  last_ = this;
  plain_->begin_changes(exec_.changes);
  std::string_view asked;
  for (const transaction::plain_request& p : plain_->plain()) {
    const std::string_view key = plain_->key_of(p);
    if (!p.adds || (asked.data() != nullptr && key == asked)) continue;
    if (exec_.parking.waited_for(key) != 0) added_.emplace_back(plain_->bus(), key);
    asked = key;
  }
  block& only = add_block(plain_->bus());
  only.count_ = count_;
  only.confirm_ = plain_->confirms();
  send_at_once(only, plain_->requests());
}

void exec_operation::send_at_once(block& only, std::string_view plain) {
  executing_ = true;
  backend::bus& bus = env_.buses.bus(only.bus_);
  const bool shared = only.link_ == nullptr;
  durable_writes::way way;
  if (env_.durable.on() && shared && owner_ != nullptr)
    way = env_.durable.way_to(only.bus_, *owner_, only.confirm_);
  backend::pipeline& requests = way.link != nullptr ? way.link->requests()
                                : shared            ? bus.requests(version_, database_, env_.turn.now)
                                                    : only.link_->requests;
  if (!requests.accepts()) return failed(only, backend::failure::bus_down);
  const std::size_t before = requests.unsent_bytes();
  const auto write = [&](base::chunk_queue& out) {
    out.append(multi);
    plain_ ? out.append(plain) : out.splice(only.bytes_);
    out.append(exec);
  };
  if (!requests.encode(write)) [[unlikely]]
    return abort_with(out_of_memory_text, metrics::outcome::refused);
  const auto replies = static_cast<std::uint32_t>(only.count_) + 2;
  if (way.link != nullptr) {
    durably_ = only.on_durable_link_ = true;
    durable_writes::sent(*owner_, only.bus_);
    way.link->end_block(only, replies, way.confirm, env_.turn.now);
  } else if (!shared && only.confirm_) {
    backend::write_group& writes = writes_of(only);
    writes.add_block(requests, only, replies, true, env_.turn.now);
    writes.close(requests, env_.configuration().buses[only.bus_].acknowledge, env_.turn.now);
  } else {
    requests.end_block(only, replies, env_.turn.now);
  }
  outstanding_ = 1;
  only.stage_ = block::stage::executing;
  if (shared) {
    if (owner_ != nullptr && owner_->replies().only_acknowledged())
      hold_output_back();  // a client that has sent EXEC needs no QUEUED before its reply
    if (owner_ != nullptr && requests.congested()) owner_->await_drain(bus, requests.unsent_bytes() - before);
    if (way.link != nullptr) return;  // readers hear of entries from their watcher
    return tell_added(only.bus_);
  }
  if (owner_ != nullptr) owner_->hold_behind_exec();
  set_deadline();
}

void exec_operation::send_to_queue() {
  if (owner_ != nullptr) owner_->hold_behind_exec();
  link_queue& links = exec_.links;
  if (!links.anybody_waits() && borrow_links()) return queue_everywhere();
  waiting_ = true;
  if (env_.configuration().backend.dedicated_connections == 0) return give_up_waiting();
  set_deadline();
  links.await(*this);
}

bool exec_operation::retry() {
  if (!borrow_links()) return false;
  waiting_ = false;
  queue_everywhere();
  return true;
}

void exec_operation::give_up_waiting() {
  waiting_ = false;
  exec_.links.forget(*this);
  abort_with("EXECABORT Transaction discarded because of: " + no_connection_text(env_, lacking_),
             metrics::outcome::refused);
}

void exec_operation::queue_everywhere() {
  for (const auto& b : blocks_) {
    const auto write = [&](base::chunk_queue& out) {
      choose_databases(*b, out);
      out.append(multi);
      out.splice(b->bytes_);
    };
    if (!b->link_->requests.encode(write)) [[unlikely]] {
      b->problem_ = out_of_memory_text;
      break;  // nothing is carried out, so the others need not queue anything
    }
    b->link_->requests.end_block(*b, b->before_exec(), env_.turn.now);
    b->stage_ = block::stage::queueing;
    ++outstanding_;  // not before: a part that finds no memory has no answer
  }
  if (outstanding_ == 0) return all_queued();
  set_deadline();
}

// A bus that lacks one of the databases says so before anything is carried out.
void exec_operation::choose_databases(block& of, base::chunk_queue& out) {
  if (!of.selects()) return;
  of.databases_.push_back(database_);
  for (const int database : of.databases_) append_select(env_, of.bus_, database, out);
  of.reselects_ = true;
}

bool exec_operation::borrow_links() {
  const std::size_t limit = env_.configuration().backend.dedicated_connections;
  for (const auto& b : blocks_) {
    if (b->link_ != nullptr) continue;
    b->link_ = env_.buses.bus(b->bus_).dedicated().borrow(backend::purpose::moment, version_, database_,
                                                          limit, env_.turn.now);
    if (b->link_ != nullptr) continue;
    lacking_ = b->bus_;
    // All links or none: two transactions that each hold the other's link would wait for ever.
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
      b->problem_ = failure_text(env_, b->bus_, backend::failure::bus_down);
    if (problem.empty()) problem = b->problem_;
  }
  if (!problem.empty()) {
    return abort_with("EXECABORT Transaction discarded because of: " + problem, metrics::outcome::refused);
  }
  for (const auto& b : blocks_) {
    if ((decider_ != nullptr && decider_ != b.get()) || b->encode_exec()) continue;
    for (const auto& other : blocks_) other->link_->requests.drop_unannounced();
    return abort_with("EXECABORT Transaction discarded because of: " + std::string(out_of_memory_text),
                      metrics::outcome::refused);
  }
  executing_ = true;
  outstanding_ = blocks_.size();
  for (const auto& b : blocks_) {
    if (decider_ == nullptr || decider_ == b.get()) announce_exec(*b);
  }
  set_deadline();
}

bool exec_operation::block::encode_exec() {
  return link_->requests.encode([](base::chunk_queue& out) { out.append(exec); });
}

void exec_operation::announce_exec(block& to) {
  backend::pipeline& requests = to.link_->requests;
  to.stage_ = block::stage::executing;
  if (!to.confirm_) return requests.end(to, to.before_exec(), env_.turn.now);
  backend::write_group& writes = writes_of(to);
  writes.add(requests, to, to.before_exec(), true, env_.turn.now);
  writes.close(requests, env_.configuration().buses[to.bus_].acknowledge, env_.turn.now);
}

void exec_operation::decided() {
  stop_clock();
  const block* const decider = std::exchange(decider_, nullptr);
  for (const auto& b : blocks_) {
    if (b.get() == decider) continue;
    if (b->holds_all() && b->encode_exec()) {
      announce_exec(*b);
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
    exec_.env_.buses.bus(bus_).note_error(reply.bytes);
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

void exec_operation::executed(block& from, const backend::reply_view& reply, std::string_view doubt) {
  resp::reply_reader reader(reply.bytes);
  const resp::reply_value head = reader.next();
  // A health check's PING may have been queued as the last request.
  const bool done = head.type == '*' && !head.null && head.elements >= from.count_;
  const bool clean = done || head.null || reply.is_error();
  from.stage_ = block::stage::idle;
  from.watches_ = false;
  if (!done && (blocks_.size() == 1 || decider_ == &from)) {
    give_back(from, clean);
    // The client has seen QUEUED where Redis would have told it the error.
    if (reply.is_error() && !from.problem_.empty())
      return abort_with("EXECABORT Transaction discarded because of: " + from.problem_,
                        metrics::outcome::redis_error);
    return abort(reply.bytes, reply.is_error() ? metrics::outcome::redis_error : metrics::outcome::ok);
  }
  if (plain_) return answer_plain(reply, doubt);
  const std::vector<backend::pipeline::collected> requests = std::move(from.requests_);
  if (from.link_ != nullptr) tell_added(from.bus_);
  give_back(from, clean);
  if (decider_ == &from && blocks_.size() > 1) decided();
  from.answered_ = true;
  if (--outstanding_ == 0) conclude();  // this may free the operation and `from`
  if (!done) return tell(requests, reply.is_error() ? reply.bytes : nothing_done);
  for (const auto& r : requests) {
    const std::string_view element = reader.skip();
    const backend::reply_view part{element, element[0], reply.bus_time, reply.held};
    if (doubt.empty() || part.is_error()) {
      r.sink->on_reply(r.part, part);
    } else {
      r.sink->on_unconfirmed(r.part, part, doubt);
    }
  }
}

void exec_operation::failed(block& at, backend::failure why) {
  if (timed_out_ && why != backend::failure::bus_down) why = backend::failure::bus_timeout;
  give_back(at, false);
  at.answered_ = true;
  if (at.stage_ == block::stage::asking) {
    at.problem_ = text_before_exec(env_, at.bus_, why);
    if (--outstanding_ == 0) end_survey();
    return;
  }
  if (!executing_) {
    at.problem_ = text_before_exec(env_, at.bus_, why);
    if (--outstanding_ == 0) all_queued();
    return;
  }
  if (blocks_.size() == 1 || decider_ == &at)
    return abort_with(failure_text(env_, at.bus_, why), outcome_of(why));
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
  boost::container::small_vector<std::vector<backend::pipeline::collected>, 2> requests;
  for (const auto& b : blocks_) {
    give_back(*b, b->stage_ == block::stage::idle || b->stage_ == block::stage::queued);
    requests.push_back(std::move(b->requests_));
  }
  const std::vector<absent_request> absent = std::move(absent_);
  if (owner_ == nullptr) {
    destroy();
  } else {
    owner_->replies().mute(*this, *last_);
    for (const postponed_request& p : postponed_) owner_->replies().drop(*p.place);
    owner_->set_database(database_);  // no SELECT was carried out
    reply().append(reply_bytes);
    owner_->release_behind_exec();
    finish(outcome);
  }
  for (const auto& of_bus : requests) tell(of_bus, nothing_done);
  for (const absent_request& a : absent)
    a.request.sink->on_reply(a.request.part, {nothing_done, nothing_done[0], {}});
}

}  // namespace dualbus::operation
