#pragma once

#include "flood.hpp"
#include "group_setup.hpp"
#include "publisher.hpp"
#include "reader.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/signal_set.hpp>

namespace dualbus::fleet {

/// The whole run, phase by phase:
///
///   create groups -> connect all -> warm up -> measure -> publish no more, wait for deliveries -> close
///
/// It says on standard error when the measurement begins and when publishing ends, a line each, so that
/// whoever started it can look at the servers then.
class fleet {
 public:
  /// Throws std::runtime_error when a host cannot be resolved.
  explicit fleet(const options& o);

  /// Returns why the run could not take place, or nothing.
  std::optional<std::string> run();

  const delivery_book& book() const { return book_; }
  const roster& who() const { return roster_; }
  const flood* flooding() const { return flood_ ? &*flood_ : nullptr; }
  double measured_seconds() const;
  /// Deliveries that were still owed when the time was over.
  const std::vector<ledger::debt>& missing() const { return missing_; }
  bool passed() const;

 private:
  using endpoints = std::array<boost::asio::ip::tcp::endpoint, bus_classes>;

  endpoints resolve();
  void create_engines();
  void create_readers(const engine& self, std::size_t bus, std::optional<bus_class> only);
  void create_groups();
  void await_connections();
  void begin_publishing();
  void end_publishing();
  void await_deliveries();
  void finish();
  void fail(std::string why);
  void await_signal();
  /// Runs `step` after `delay`; one such step at a time.
  void later(base::duration delay, std::function<void()> step);
  bool published_all() const;
  bool settled() const;

  const options options_;
  event_loop loop_;
  const endpoints servers_;
  const bool one_server_;
  roster roster_;
  delivery_book book_;
  std::vector<std::unique_ptr<group_setup>> setups_;
  std::size_t setups_to_come_ = 0;
  std::vector<std::unique_ptr<reader>> readers_;
  std::vector<std::unique_ptr<publisher>> publishers_;
  std::optional<flood> flood_;
  boost::asio::steady_timer phase_timer_;
  boost::asio::signal_set signals_;
  base::time_point deadline_{}, measuring_ended_{};
  std::vector<ledger::debt> missing_;
  std::optional<std::string> failure_;
  bool interrupted_ = false;
};

}  // namespace dualbus::fleet
