#include "script_commands.hpp"

#include <dualbus/base/numbers.hpp>
#include <dualbus/client/request.hpp>
#include <dualbus/client/session.hpp>
#include <dualbus/config/slot_mark.hpp>
#include <dualbus/operation/everywhere_operation.hpp>
#include <dualbus/resp/reply_reader.hpp>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <vector>

// SCRIPT and FUNCTION on several buses.
namespace dualbus::handler {
namespace {

// FUNCTION LOAD and everything that changes the libraries of the buses: done when every bus has done it.
class function_operation : public everywhere_operation {
  using everywhere_operation::everywhere_operation;
  void on_round(const parts& all) override {
    if (answer_error(all)) return;
    answer(metrics::outcome::ok,
           [&all](resp::encoder&, base::chunk_queue& raw) { raw.append(all[0].reply); });
  }
};

// SCRIPT LOAD, EXISTS and FLUSH. A bus that is away does not count: it answers NOSCRIPT for scripts that it
// missed, and clients load them again. (Libraries of functions last, and no such error asks for them.)
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

// SCRIPT EXISTS: only a script that every bus knows can be run with any keys.
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

// FUNCTION LIST without the libraries that mark the slot of a bus.
class function_list_operation final : public single_round_operation {
 public:
  function_list_operation(environment& environment, session& owner, routed_request& request,
                          resp::arguments args, command::bus_index bus)
      : single_round_operation(environment, owner, request), args_(args), bus_(bus) {}

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

bool start_function_list(script_services& services, session& client, routed_request& request,
                         command::bus_index bus) {
  if (services.configuration().marks == config::slot_mark::none) return false;
  if (!base::equals_ignoring_case(request.args[0], "function") ||
      !base::equals_ignoring_case(request.args[1], "list"))
    return false;
  (new function_list_operation(services, client, request, request.args, bus))->start();
  return true;
}

void start_script_operation(script_services& services, session& client, routed_request& request,
                            const command::command_spec& spec) {
  gather_operation* op = nullptr;
  if (spec.name == "function") {
    op = new function_operation(services, client, request);
  } else if (base::equals_ignoring_case(request.args[1], "exists")) {
    op = new script_exists_operation(services, client, request);
  } else {
    if (base::equals_ignoring_case(request.args[1], "flush")) ++services.flushes;
    op = new script_operation(services, client, request);
  }
  op->start();
}

void spread_script(operation::script_spread& scripts, session& client, const command::command_spec& spec,
                   const client::request& request, command::bus_index bus) {
  if (spec.has(command::fact::brings_script)) scripts.spread(client, request.args[1], bus);
}

}  // namespace dualbus::handler
