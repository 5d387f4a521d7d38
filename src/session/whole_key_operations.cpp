#include "everywhere_operation.hpp"

#include <dualbus/base/c_string.hpp>
#include <dualbus/resp/reply_reader.hpp>
#include <dualbus/session/keyspace_operations.hpp>
#include <dualbus/session/session.hpp>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

// RENAME, RENAMENX, COPY and DUMP of keys that may have parts on several buses.
namespace dualbus::session {
namespace {

using command::bus_index;

// RENAME, RENAMENX, COPY: on each bus that has the source; on the others an old destination goes away.
class transfer_operation final : public gather_operation {
 public:
  transfer_operation(worker_context& context, session& owner, std::uint16_t command, std::string_view name,
                     resp::arguments args)
      : gather_operation(context, owner, command, true),
        args_(args.begin(), args.end()),
        copies_(name == "copy"),
        keeps_old_(name != "rename") {}

 protected:
  base::task<> run() override {
    const std::string &source = args_[1], &destination = args_[2];
    if (const std::string fault = read_options(); !fault.empty()) {
      if (fault.starts_with("NOTSUPPORTED")) {
        answer_refusal(fault);
      } else {
        answer_redis_error(fault);
      }
      co_return;
    }
    const std::string_view find_source[] = {"EXISTS", source}, find_old[] = {"EXISTS", destination};
    const std::size_t buses = context_.bus_count();
    for (std::size_t i = 0; i < buses; ++i) {
      send(static_cast<bus_index>(i), find_source);
      send(static_cast<bus_index>(i), find_old);
    }
    const parts found = co_await round();
    if (answer_error(found)) co_return;
    std::vector<bool> has_source(buses);
    bool any_source = false, any_old = false;
    for (std::size_t i = 0; i < buses; ++i) {
      has_source[i] = resp::as_integer(found[2 * i].reply) == 1;
      any_source |= has_source[i];
      any_old |= resp::as_integer(found[2 * i + 1].reply) == 1;
    }
    if (!any_source) {
      if (copies_) {
        answer_integer(0);
      } else {
        answer_redis_error("ERR no such key");
      }
      co_return;
    }
    if (keeps_old_ && any_old) {
      answer_integer(0);
      co_return;
    }
    if (source == destination) co_return answer_ok();  // it is where it is to go

    // By bus. The routing may be another one when the first of them have answered.
    std::vector<std::size_t> steps;
    for (std::size_t i = 0; i < buses; ++i) {
      const std::size_t step = removal_step(context_.router(database_).table(), static_cast<bus_index>(i));
      steps.push_back(copies_ ? 2 - step : step);
    }
    const std::vector<std::string_view> request(args_.begin(), args_.end());
    const std::string_view remove[] = {"DEL", destination};
    bool begun = false;
    for (std::size_t step = 0; step < 3; ++step) {
      std::vector<bool> moves;  // by part
      for (std::size_t i = 0; i < buses; ++i) {
        const auto bus = static_cast<bus_index>(i);
        // A source goes as removed keys do, a copy comes like a new group: on the anchor behind the others.
        if (steps[i] != step) continue;
        if (!has_source[i] && keeps_old_) continue;
        moves.push_back(has_source[i]);
        if (has_source[i]) {
          send(bus, request);
        } else {
          send(bus, remove);
        }
      }
      const parts done = co_await round();
      if (answer_error(done)) co_return;
      for (std::size_t i = 0; i < done.size(); ++i) {
        if (!moves[i]) continue;
        if (done[i].reply == ":0\r\n") {  // somebody else has made the destination meanwhile
          if (!begun) {
            answer_integer(0);
          } else {
            answer_refusal(
                "ERR dualbus: the destination came into being meanwhile: a part of the source on bus '" +
                context_.bus_name(done[i].bus) + "' was left where it is");
          }
          co_return;
        }
        begun = true;
      }
    }
    if (copies_ || keeps_old_) {
      answer_integer(1);
    } else {
      answer_ok();
    }
  }

 private:
  // Reads COPY's options; an error to answer, or nothing.
  std::string read_options() {
    if (!copies_) return {};
    for (std::size_t i = 3; i < args_.size(); ++i) {
      if (base::is_word(args_[i], "replace")) {
        keeps_old_ = false;
      } else if (base::is_word(args_[i], "db") && i + 1 < args_.size()) {
        return "NOTSUPPORTED command 'COPY' with DB needs keys that are pinned to one bus: pin them with "
               "routing.keys";
      } else {
        return "ERR syntax error";
      }
    }
    return args_[1] == args_[2] ? "ERR source and destination objects are the same" : "";
  }

  void answer_redis_error(std::string_view text) {
    answer(metrics::outcome::redis_error,
           [text](resp::encoder& out, base::chunk_queue&) { out.error(text); });
  }

  std::vector<std::string> args_;
  bool copies_;
  bool keeps_old_;  // an existing destination
};

// DUMP: of what is no stream, from the one bus that such keys have.
class dump_operation final : public single_round_operation {
 public:
  dump_operation(worker_context& context, session& owner, std::uint16_t command, resp::arguments args)
      : single_round_operation(context, owner, command), args_(args) {}

 protected:
  void on_start() override {
    const std::string_view type[] = {"TYPE", args_[1]};
    const bus_index bus = context_.router().table().rules().default_key_bus;
    for (std::size_t i = 0; i < context_.bus_count(); ++i) send(static_cast<bus_index>(i), type);
    send(bus, args_);
    send(bus, type);  // what was nothing may have become a stream before the dump
    args_ = {};
  }
  void on_round(const parts& all) override {
    if (answer_error(all)) return;
    if (std::any_of(all.begin(), all.end(), [](const part& p) { return p.reply == "+stream\r\n"; })) {
      return answer_refusal(
          "NOTSUPPORTED command 'DUMP' needs a stream that is pinned to one bus: pin it with routing.keys");
    }
    answer(metrics::outcome::ok,
           [&all](resp::encoder&, base::chunk_queue& raw) { raw.append(all[all.size() - 2].reply); });
  }

 private:
  resp::arguments args_;
};

}  // namespace

void start_whole_key_operation(worker_context& context, session& client, std::uint16_t command,
                               const command::command_spec& spec, resp::arguments args) {
  gather_operation* op = nullptr;
  if (spec.name == "dump") {
    op = new dump_operation(context, client, command, args);
  } else {
    op = new transfer_operation(context, client, command, spec.name, args);
  }
  op->start();
}

}  // namespace dualbus::session
