#include "name_lookup.hpp"

#include <cerrno>
#include <cstring>
#include <netdb.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <system_error>
#include <thread>
#include <utility>

namespace dualbus::admin {
namespace {

// Returns getaddrinfo's error, 0 for none.
int look_up(const std::string& host, std::uint16_t port, int flags,
            std::vector<name_lookup::address>& found) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* list = nullptr;
  const int error = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &list);
  if (error != 0) return error;
  for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    name_lookup::address address{};
    std::memcpy(&address.storage, entry->ai_addr, entry->ai_addrlen);
    address.length = entry->ai_addrlen;
    found.push_back(address);
  }
  ::freeaddrinfo(list);
  return 0;
}

}  // namespace

// Shared with the thread; `done` becoming readable publishes the other members.
struct name_lookup::pending {
  base::unique_fd done{::eventfd(0, EFD_CLOEXEC)};
  int error = 0;
  std::vector<address> found;
};

name_lookup::name_lookup(std::string host, std::uint16_t port) : host_(std::move(host)), port_(port) {}

name_lookup::~name_lookup() = default;

std::vector<name_lookup::address> name_lookup::resolve(const stop_signal& stop, base::time_point deadline) {
  error_.clear();
  std::vector<address> numeric;
  if (look_up(host_, port_, AI_NUMERICHOST, numeric) == 0) return numeric;

  if (!pending_) {
    auto started = std::make_shared<pending>();
    if (!started->done) {
      error_ = std::generic_category().message(errno);
      return {};
    }
    try {
      std::thread([started, host = host_, port = port_] {
        started->error = look_up(host, port, AI_ADDRCONFIG, started->found);
        const std::uint64_t one = 1;
        [[maybe_unused]] const auto written = ::write(started->done.get(), &one, sizeof one);
      }).detach();
    } catch (const std::system_error& e) {
      error_ = e.what();
      return {};
    }
    pending_ = std::move(started);
  }
  if (stop.wait(pending_->done.get(), POLLIN, deadline) != stop_signal::wake::ready) {
    error_ = "no answer about host name '" + host_ + "' yet";
    return {};
  }
  // Reading orders the thread's writes before ours to see them.
  std::uint64_t count = 0;
  [[maybe_unused]] const auto got = ::read(pending_->done.get(), &count, sizeof count);
  const std::shared_ptr<pending> finished = std::exchange(pending_, nullptr);
  if (finished->error != 0) error_ = "host name '" + host_ + "': " + ::gai_strerror(finished->error);
  return std::move(finished->found);
}

}  // namespace dualbus::admin
