#include "key_commands.hpp"

#include <dualbus/base/c_string.hpp>
#include <dualbus/client/session.hpp>
#include <dualbus/operation/everywhere_operation.hpp>
#include <dualbus/resp/reply_reader.hpp>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

// RENAME, RENAMENX, COPY and DUMP of keys that may have parts on several buses.
namespace dualbus::handler {
namespace {

using command::bus_index;

// RENAME, RENAMENX, COPY: done on each bus that has the source; on the others an old destination is removed.
class transfer_operation final : public gather_operation {
 public:
  transfer_operation(environment& environment, session& owner, routed_request& request, std::string_view name,
                     resp::arguments args)
      : gather_operation(environment, owner, request, true),
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
    const std::size_t buses = env_.buses.count();
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
    if (source == destination) co_return answer_ok();  // the key is where it is to go

    // By bus. The routing may have changed when the first buses have answered.
    std::vector<std::size_t> steps;
    for (std::size_t i = 0; i < buses; ++i) {
      const std::size_t step =
          removal_step(env_.routing.router(database_).table(), static_cast<bus_index>(i));
      steps.push_back(copies_ ? 2 - step : step);
    }
    const std::vector<std::string_view> request(args_.begin(), args_.end());
    const std::string_view remove[] = {"DEL", destination};
    bool begun = false;
    for (std::size_t step = 0; step < 3; ++step) {
      std::vector<bool> moves;  // by part
      for (std::size_t i = 0; i < buses; ++i) {
        const auto bus = static_cast<bus_index>(i);
        // A source goes as removed keys do; a copy comes like a new group, on the anchor last.
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
        if (done[i].reply == ":0\r\n") {  // another client has made the destination meanwhile
          if (!begun) {
            answer_integer(0);
          } else {
            answer_refusal(
                "ERR dualbus: the destination came into being meanwhile: a part of the source on bus '" +
                env_.buses.name(done[i].bus) + "' was left where it is");
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
  // Reads COPY's options. Returns the error to answer, or nothing.
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

// DUMP of a key that is no stream, from the one bus that such keys have.
class dump_operation final : public single_round_operation {
 public:
  dump_operation(environment& environment, session& owner, routed_request& request, resp::arguments args)
      : single_round_operation(environment, owner, request), args_(args) {}

 protected:
  void on_start() override {
    const std::string_view type[] = {"TYPE", args_[1]};
    const bus_index bus = env_.routing.router().table().rules().default_key_bus;
    for (std::size_t i = 0; i < env_.buses.count(); ++i) send(static_cast<bus_index>(i), type);
    send(bus, args_);
    send(bus, type);  // a key that was missing may have become a stream before the dump
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

void start_whole_key_operation(key_services& services, session& client, routed_request& request,
                               const command::command_spec& spec) {
  gather_operation* op = nullptr;
  if (spec.name == "dump") {
    op = new dump_operation(services, client, request, request.args);
  } else {
    op = new transfer_operation(services, client, request, spec.name, request.args);
  }
  op->start();
}

}  // namespace dualbus::handler
