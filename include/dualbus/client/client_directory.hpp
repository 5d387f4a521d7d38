#pragma once

#include <dualbus/client/session_environment.hpp>

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

namespace dualbus::client {

/// Owns the sessions of one worker, by client ID.
class client_directory final : public session_owner {
 public:
  /// Both outlive it.
  client_directory(client_places& places, client::turn& turn);
  ~client_directory();

  void add(std::unique_ptr<session> client);
  session* find(std::uint64_t id) const override;
  void retire(session& client) override;
  /// At the end of a turn: frees the sessions that have ended.
  void free_retired() {
    if (!retired_.empty()) free_all_retired();
  }
  std::size_t size() const { return sessions_.size(); }

  /// `visit` may end sessions, but neither add nor remove any.
  template <typename Visitor>
  void for_each(Visitor&& visit) const {
    for (const auto& [id, client] : sessions_) visit(*client);
  }

  /// The sessions that are open now. The list stays as it is when they end.
  std::vector<session*> all() const;

 private:
  void free_all_retired();

  client_places& places_;
  client::turn& turn_;
  std::vector<std::unique_ptr<session>> retired_;
  std::unordered_map<std::uint64_t, std::unique_ptr<session>> sessions_;
};

}  // namespace dualbus::client
