#include "everywhere_operation.hpp"

#include <dualbus/base/numbers.hpp>
#include <dualbus/config/slot_mark.hpp>
#include <dualbus/resp/reply_reader.hpp>
#include <dualbus/session/dispatcher.hpp>
#include <dualbus/session/keyspace_operations.hpp>
#include <dualbus/session/session.hpp>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <vector>

// SCRIPT and FUNCTION on several buses.
namespace dualbus::session {
namespace {

// FUNCTION LOAD and all that changes what the buses have: done when every bus has done it.
class function_operation : public everywhere_operation {
  using everywhere_operation::everywhere_operation;
  void on_round(const parts& all) override {
    if (answer_error(all)) return;
    answer(metrics::outcome::ok,
           [&all](resp::encoder&, base::chunk_queue& raw) { raw.append(all[0].reply); });
  }
};

// SCRIPT LOAD, EXISTS and FLUSH. A bus that is away does not count: what it misses it answers NOSCRIPT for,
// upon which clients load again. (Libraries of functions last, and have no such word.)
class script_operation : public everywhere_operation {
  using everywhere_operation::everywhere_operation;
  void on_round(const parts& all) final {
    parts present;
    std::copy_if(all.begin(), all.end(), std::back_inserter(present),
                 [](const part& p) { return !p.failed; });
    const bool reached = !present.empty();
    if (answer_error(reached ? present : all)) return;
    on_present(present);
  }
  virtual void on_present(const parts& present) {
    answer(metrics::outcome::ok,
           [&present](resp::encoder&, base::chunk_queue& raw) { raw.append(present[0].reply); });
  }
};

// SCRIPT EXISTS: only what every bus knows can be run with any keys.
class script_exists_operation final : public script_operation {
  using script_operation::script_operation;
  void on_present(const parts& present) override {
    std::vector<bool> known;
    for (const part& p : present) {
      resp::reply_reader reader(p.reply);
      const std::size_t count = reader.next().elements;
      if (known.empty()) known.assign(count, true);
      for (std::size_t i = 0; i < std::min(count, known.size()); ++i) {
        if (reader.next().number == 0) known[i] = false;
      }
    }
    answer(metrics::outcome::ok, [&known](resp::encoder& out, base::chunk_queue&) {
      out.array(known.size());
      for (const bool is_known : known) out.integer(is_known ? 1 : 0);
    });
  }
};

// FUNCTION LIST without the libraries that say which slot a bus has.
class function_list_operation final : public single_round_operation {
 public:
  function_list_operation(worker_context& context, session& owner, std::uint16_t command,
                          resp::arguments args, command::bus_index bus)
      : single_round_operation(context, owner, command), args_(args), bus_(bus) {}

 private:
  void on_start() override {
    send(bus_, args_);
    args_ = {};
  }
  void on_round(const parts& all) override {
    if (answer_error(all)) return;
    answer(metrics::outcome::ok, [&all](resp::encoder& out, base::chunk_queue& raw) {
      resp::reply_reader reader(all[0].reply);
      std::vector<std::string_view> shown;
      for (std::size_t left = reader.next().elements; left > 0; --left) {
        const std::string_view library = reader.skip();
        if (!is_mark(library)) shown.push_back(library);
      }
      out.array(shown.size());
      for (const std::string_view library : shown) raw.append(library);
    });
  }
  static bool is_mark(std::string_view library) {
    resp::reply_reader reader(library);
    reader.next();
    while (!reader.done()) {
      if (reader.next().text == "library_name") return config::is_slot_mark(reader.next().text);
      reader.skip();
    }
    return false;
  }

  resp::arguments args_;
  const command::bus_index bus_;
};

}  // namespace

bool start_function_list(worker_context& context, session& client, const request& what,
                         command::bus_index bus) {
  if (context.configuration().marks == config::slot_mark::none) return false;
  if (!base::equals_ignoring_case(what.args[0], "function") ||
      !base::equals_ignoring_case(what.args[1], "list"))
    return false;
  (new function_list_operation(context, client, what.command, what.args, bus))->start();
  return true;
}

void start_script_operation(worker_context& context, session& client, std::uint16_t command,
                            const command::command_spec& spec, resp::arguments args) {
  gather_operation* op = nullptr;
  if (spec.name == "function") {
    op = new function_operation(context, client, command, args);
  } else if (base::equals_ignoring_case(args[1], "exists")) {
    op = new script_exists_operation(context, client, command, args);
  } else {
    if (base::equals_ignoring_case(args[1], "flush")) ++context.daemon.script_flushes;
    op = new script_operation(context, client, command, args);
  }
  op->start();
}

}  // namespace dualbus::session
