#pragma once

#include <dualbus/backend/pipeline.hpp>
#include <dualbus/client/timer_queue.hpp>
#include <dualbus/operation/bus_info.hpp>
#include <dualbus/operation/request_operation.hpp>

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace dualbus::operation {

/// Sends one request to every bus that can be counted on, and calls `done` once: when all have answered, or
/// after a second, with the replies that have come by then. A bus is left out if there is no memory for the
/// request to it. Owns itself.
class bus_survey final : public backend::reply_sink {
 public:
  /// The replies by the number of the bus; empty for a bus that has not answered, or with an error.
  using handler = std::function<void(const std::vector<std::string>&)>;
  using info_handler = std::function<void(const std::vector<bus_info>&)>;

  static void start(environment& environment, std::span<const std::string_view> request, handler done);
  /// Asks for INFO. `section`: one that Redis knows, or "everything", or "default".
  static void start_info(environment& environment, std::string_view section, info_handler done);

  void on_reply(std::uint32_t bus, const backend::reply_view& reply) override;
  void on_failure(std::uint32_t bus, backend::failure why) override;
  bool abandoned() const override { return false; }

 private:
  bus_survey(environment& environment, handler done);
  void ask(std::span<const std::string_view> request);
  void count_down();
  void tell();

  environment& env_;
  handler done_;
  std::vector<std::string> found_;
  std::size_t outstanding_ = 1;
  std::optional<client::timer_queue::id> timer_;
};

}  // namespace dualbus::operation
