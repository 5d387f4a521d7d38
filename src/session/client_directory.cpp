#include <dualbus/session/client_directory.hpp>
#include <dualbus/session/session.hpp>

namespace dualbus::session {

client_directory::client_directory() = default;
client_directory::~client_directory() = default;

void client_directory::add(std::unique_ptr<session> client) {
  const std::uint64_t id = client->id();
  sessions_.emplace(id, std::move(client));
}

std::unique_ptr<session> client_directory::remove(std::uint64_t id) {
  auto node = sessions_.extract(id);
  return node ? std::move(node.mapped()) : nullptr;
}

session* client_directory::find(std::uint64_t id) const {
  const auto found = sessions_.find(id);
  return found == sessions_.end() ? nullptr : found->second.get();
}

}  // namespace dualbus::session
