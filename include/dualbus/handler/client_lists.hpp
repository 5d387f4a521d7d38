#pragma once

#include <dualbus/console/table.hpp>
#include <dualbus/handler/colleagues.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

// The clients of all workers as tables. A worker describes a few clients in a turn, so that its clients do
// not wait while somebody looks at thousands.
namespace dualbus::handler {

enum class client_list : std::uint8_t {
  clients,   ///< every client
  parked,    ///< the clients that wait, and for what
  addresses  ///< engine and address of every client whose engine is known
};

/// Asks all workers, and hands the rows to `done`, on the thread on which ask() calls back. `ask` is
/// colleagues::ask() of a worker, or something with the same effect. Clients that come meanwhile are left
/// out, and so are those that go.
void list_clients(client_list what, std::function<void(colleagues::question, colleagues::answers)> ask,
                  std::function<void(console::table)> done);

/// One address for each engine of a list of addresses; several are shown as `ADDRESS and N more`.
std::map<std::string, std::string> address_by_engine(const console::table& addresses);

}  // namespace dualbus::handler
