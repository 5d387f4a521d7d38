#include <dualbus/base/log.hpp>

#include <memory>
#include <utility>

#include <spdlog/sinks/stdout_sinks.h>

namespace dualbus::base {

void init_log(const std::string& level) {
  auto logger =
      std::make_shared<spdlog::logger>("dualbusd", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %v");
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
  set_log_level(level);
}

void set_log_level(const std::string& level) {
  spdlog::set_level(spdlog::level::from_str(level));
}

bool log_limiter::allow(time_point now) {
  if (now < next_) {
    ++dropped_;
    return false;
  }
  next_ = now + interval_;
  reported_ = std::exchange(dropped_, 0);
  return true;
}

}  // namespace dualbus::base
