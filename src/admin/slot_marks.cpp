#include "bus_links.hpp"
#include "stop_signal.hpp"
#include "stream_replies.hpp"

#include <dualbus/admin/slot_marks.hpp>
#include <dualbus/base/log.hpp>
#include <dualbus/config/slot_mark.hpp>

#include <algorithm>
#include <utility>

namespace dualbus::admin {
namespace {

// Redis refuses a library without a function, and names of functions are unique, as are those of libraries.
std::string library_code(const std::string& name) {
  return "#!lua name=" + name + "\nredis.register_function{function_name='" + name +
         "', callback=function() return 1 end, flags={'no-writes'}}\n";
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "'" : ", '") + base::in_log(name) + "'";
  return text;
}

}  // namespace

slot_check::slot_check() : stop_(std::make_unique<stop_signal>()) {}

slot_check::~slot_check() = default;

void slot_check::stop() {
  stop_->raise();
}

slot_findings slot_check::run(const config::configuration& configuration) const {
  slot_findings found;
  if (configuration.marks == config::slot_mark::none) return found;
  bus_links links(configuration.buses, *stop_, {.connect_timeout = configuration.backend.connect_timeout});
  for (std::size_t i = 0; i < configuration.buses.size(); ++i) {
    const auto bus = static_cast<command::bus_index>(i);
    const command::bus_rules& rules = configuration.routing.buses[i];
    const int database = configuration.buses[i].database;
    const std::string own = config::slot_mark_name(database, rules.id_slot);
    std::vector<std::string> marks;
    std::string refused;
    request_batch list;
    list.add({"FUNCTION", "LIST", "LIBRARYNAME", config::slot_mark_prefix(database) + "*"});
    bool answered = links.exchange(bus, list, [&](std::size_t, std::string_view reply) {
      const auto names = read_library_names(reply);
      if (names) marks = *names;
      return names ? std::string() : "FUNCTION LIST: " + std::string(error_in(reply));
    });
    if (answered && marks.empty()) {
      request_batch load;
      load.add({"FUNCTION", "LOAD", library_code(own)});
      answered = links.exchange(bus, load, [&](std::size_t, std::string_view reply) {
        // Another daemon may have been faster.
        const std::string_view error = error_in(reply);
        return error.empty() || error.find("already exists") != std::string_view::npos
                   ? std::string()
                   : "FUNCTION LOAD: " + std::string(error);
      });
      if (answered)
        base::info_limited({rules.name}, "bus {}: marked as the bus with id_slot {}", rules.name,
                           rules.id_slot);
    }
    if (!answered) {
      found.warnings.push_back("bus '" + rules.name + "': whether it has id_slot " +
                               std::to_string(rules.id_slot) +
                               " is not known: " + base::in_log(links.errors().at(bus)));
    } else if (!marks.empty() && std::find(marks.begin(), marks.end(), own) == marks.end()) {
      found.mistakes.push_back("bus '" + rules.name + "' (" + configuration.buses[i].endpoint +
                               ") is to have id_slot " + std::to_string(rules.id_slot) + ", but bears " +
                               joined(marks) +
                               ": clients hold IDs of its entries with that slot. Give it the slot back; or, "
                               "if nobody holds such IDs any more, say FUNCTION DELETE " +
                               base::in_log(marks.front()) + " there");
    }
  }
  return found;
}

}  // namespace dualbus::admin
