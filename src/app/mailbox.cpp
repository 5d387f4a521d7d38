#include "mailbox.hpp"

#include <cerrno>
#include <cstdint>
#include <sys/eventfd.h>
#include <system_error>
#include <utility>

namespace dualbus::app {

mailbox::mailbox(base::poller& poller) : poller_(poller), event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!event_) throw std::system_error(errno, std::generic_category(), "eventfd");
  poller_.add(event_.get(), *this, {.read = true});
}

mailbox::~mailbox() {
  poller_.remove(event_.get(), *this);
}

void mailbox::post(letter posted) {
  {
    const std::lock_guard lock(mutex_);
    letters_.push_back(std::move(posted));
    if (letters_.size() > 1) return;  // the first one has woken the worker, which has not come yet
  }
  constexpr std::uint64_t one = 1;
  (void)!::write(event_.get(), &one, sizeof one);
}

std::vector<mailbox::letter> mailbox::take() {
  if (!std::exchange(filled_, false)) return {};
  std::uint64_t count;
  (void)!::read(event_.get(), &count, sizeof count);
  const std::lock_guard lock(mutex_);
  return std::exchange(letters_, {});
}

}  // namespace dualbus::app
