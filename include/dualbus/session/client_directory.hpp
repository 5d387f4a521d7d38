#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>

namespace dualbus::session {

class session;

/// Owns the sessions of one worker, by client ID.
class client_directory {
 public:
  client_directory();
  ~client_directory();

  void add(std::unique_ptr<session> client);
  std::unique_ptr<session> remove(std::uint64_t id);
  session* find(std::uint64_t id) const;
  std::size_t size() const { return sessions_.size(); }

  /// `visit` may end sessions, but neither add nor remove any.
  template <typename Visitor>
  void for_each(Visitor&& visit) const {
    for (const auto& [id, client] : sessions_) visit(*client);
  }

 private:
  std::unordered_map<std::uint64_t, std::unique_ptr<session>> sessions_;
};

}  // namespace dualbus::session
