#include <dualbus/client/client_directory.hpp>
#include <dualbus/client/session.hpp>

namespace dualbus::client {

client_directory::client_directory(client_places& places, client::turn& turn)
    : places_(places), turn_(turn) {}
client_directory::~client_directory() = default;

void client_directory::add(std::unique_ptr<session> client) {
  const std::uint64_t id = client->id();
  sessions_.emplace(id, std::move(client));
}

session* client_directory::find(std::uint64_t id) const {
  const auto found = sessions_.find(id);
  return found == sessions_.end() ? nullptr : found->second.get();
}

void client_directory::retire(session& client) {
  places_.clients.fetch_sub(1);
  if (auto node = sessions_.extract(client.id())) retired_.push_back(std::move(node.mapped()));
}

void client_directory::free_all_retired() {
  turn_.forget_if([](const turn::member& member) { return static_cast<const session&>(member).closed(); });
  retired_.clear();
}

std::vector<session*> client_directory::all() const {
  std::vector<session*> open;
  for_each([&open](session& client) { open.push_back(&client); });
  return open;
}

}  // namespace dualbus::client
