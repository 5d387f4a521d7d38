#pragma once

#include <dualbus/backend/pipeline.hpp>
#include <dualbus/session/bus_info.hpp>
#include <dualbus/session/timer_queue.hpp>

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace dualbus::session {

class worker_context;

/// Asks every bus that can be counted on the same, and calls `done` once: when all have answered, or after a
/// second, with what is known then. Owns itself.
class bus_survey final : public backend::reply_sink {
 public:
  /// The replies by the number of the bus; an empty text for one that has not answered, or with an error.
  using handler = std::function<void(const std::vector<std::string>&)>;
  using info_handler = std::function<void(const std::vector<bus_info>&)>;

  static void start(worker_context& context, std::span<const std::string_view> request, handler done);
  /// Asks for INFO. `section`: one that Redis knows, or "everything", or "default".
  static void start_info(worker_context& context, std::string_view section, info_handler done);

  void on_reply(std::uint32_t bus, const backend::reply_view& reply) override;
  void on_failure(std::uint32_t bus, backend::failure why) override;
  bool abandoned() const override { return false; }

 private:
  bus_survey(worker_context& context, handler done);
  void ask(std::span<const std::string_view> request);
  void count_down();
  void tell();

  worker_context& context_;
  handler done_;
  std::vector<std::string> found_;
  std::size_t outstanding_ = 1;
  std::optional<timer_queue::id> timer_;
};

}  // namespace dualbus::session
