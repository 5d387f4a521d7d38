#include "hand_over_wire.hpp"

#include <dualbus/base/version.hpp>
#include <dualbus/client/session_state.hpp>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include <utility>
#include <variant>

namespace dualbus::app::hand_over {
namespace {

using std::chrono::milliseconds;

// what, whether a descriptor belongs to it, number, length
constexpr std::size_t head_bytes = 1 + 1 + 4 + 4;
constexpr std::size_t most_line = 256;
// A client's largest request and its transaction fit.
constexpr std::uint32_t most_bytes = std::uint32_t{2} << 30;
constexpr std::chrono::seconds send_limit{5};
constexpr std::size_t read_bytes = std::size_t{256} << 10;

void put(std::string& out, std::uint32_t value) {
  for (int i = 0; i < 4; ++i) out.push_back(static_cast<char>(value >> (8 * i) & 0xff));
}

std::uint32_t number_at(std::string_view bytes) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) value |= std::uint32_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
  return value;
}

bool poll_for(int fd, short events, base::duration wait) {
  pollfd asked{fd, events, 0};
  const auto ms = std::chrono::ceil<milliseconds>(std::max(wait, base::duration::zero())).count();
  return ::poll(&asked, 1, static_cast<int>(ms)) > 0;
}

std::optional<unsigned> number_behind(std::string_view line, std::string_view name) {
  const std::size_t at = line.find(name);
  if (at == std::string_view::npos) return std::nullopt;
  unsigned value = 0;
  const char* const begin = line.data() + at + name.size();
  if (std::from_chars(begin, line.data() + line.size(), value).ec != std::errc()) return std::nullopt;
  return value;
}

}  // namespace

std::string greeting_line(std::string_view word) {
  return fmt::format("{} protocol={} state={} daemon={}\n", word, protocol_version,
                     client::session_state::version, base::version);
}

std::optional<greeting> parse_greeting(std::string_view word, std::string_view line) {
  if (!line.starts_with(word)) return std::nullopt;
  const auto protocol = number_behind(line, " protocol=");
  const auto state = number_behind(line, " state=");
  const std::size_t daemon = line.find(" daemon=");
  if (!protocol || !state || daemon == std::string_view::npos) return std::nullopt;
  return greeting{*protocol, *state, std::string(line.substr(daemon + std::strlen(" daemon=")))};
}

// A client's state has room for all of it.
std::string pack_requests(const std::string& channel, const std::vector<std::vector<std::string>>& requests) {
  client::session_state carrier;
  carrier.id = 1;
  carrier.name = channel;
  carrier.subscriptions = requests;
  return client::encode(carrier);
}

std::optional<subscriptions> unpack_requests(std::string_view bytes) {
  auto decoded = client::decode(bytes);
  auto* const carrier = std::get_if<client::session_state>(&decoded);
  if (carrier == nullptr) return std::nullopt;
  return subscriptions{std::move(carrier->name), std::move(carrier->subscriptions)};
}

channel::channel(base::unique_fd socket) : socket_(std::move(socket)) {}

bool channel::is_same_user() const {
  ucred peer{};
  socklen_t length = sizeof peer;
  return ::getsockopt(socket_.get(), SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 && peer.uid == ::geteuid();
}

int channel::peer_process() const {
  ucred peer{};
  socklen_t length = sizeof peer;
  return ::getsockopt(socket_.get(), SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 ? peer.pid : 0;
}

bool channel::is_own_process() const {
  return peer_process() == ::getpid();
}

void channel::close() {
  socket_.reset();
  descriptors_.clear();
}

bool channel::wait(base::duration longest) const {
  return used_ < received_.size() || poll_for(socket_.get(), POLLIN, longest);
}

// ------------------------------------------------------------------------------------------------- receiving

channel::result channel::read_more(base::duration wait) {
  if (!poll_for(socket_.get(), POLLIN, wait)) return result::nothing;
  if (used_ > 0) {
    received_.erase(0, used_);
    used_ = 0;
  }
  const std::size_t before = received_.size();
  received_.resize(before + read_bytes);
  iovec room{received_.data() + before, read_bytes};
  alignas(cmsghdr) char control[CMSG_SPACE(8 * sizeof(int))];
  msghdr message{};
  message.msg_iov = &room;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t got = ::recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  received_.resize(before + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return result::nothing;
  if (got <= 0) {
    problem_ = got == 0 ? "its end is closed" : std::strerror(errno);
    return result::ended;
  }
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof fd);
      descriptors_.emplace_back(fd);
    }
  }
  if ((message.msg_flags & MSG_CTRUNC) != 0) {
    problem_ = "descriptors were lost: too many files are open";
    nonsense_ = true;
    return result::ended;
  }
  return result::done;
}

channel::result channel::receive_line(std::string& line, base::duration wait) {
  const auto deadline = base::clock::now() + wait;
  for (;;) {
    const std::size_t end = received_.find('\n', used_);
    if (end != std::string::npos && end - used_ <= most_line) {
      line = received_.substr(used_, end - used_);
      used_ = end + 1;
      return result::done;
    }
    if (received_.size() - used_ > most_line) {
      problem_ = "it sent no line";
      return result::ended;
    }
    const base::duration left = deadline - base::clock::now();
    if (left <= base::duration::zero()) return result::nothing;
    if (read_more(left) == result::ended) return result::ended;
  }
}

bool channel::take_frame(frame& next) {
  const std::string_view bytes = std::string_view(received_).substr(used_);
  if (bytes.size() < head_bytes) return false;
  const std::uint32_t length = number_at(bytes.substr(6));
  const auto what = static_cast<unsigned char>(bytes[0]);
  if (what == 0 || what > static_cast<unsigned char>(kind::end) || length > most_bytes) {
    problem_ = "it sent what is no frame of a hand-over";
    nonsense_ = true;
    return false;
  }
  if (bytes.size() < head_bytes + length) return false;
  next.what = static_cast<kind>(what);
  next.number = number_at(bytes.substr(2));
  next.bytes = bytes.substr(head_bytes, length);
  next.fd.reset();
  if (bytes[1] != 0) {
    if (descriptors_.empty()) {
      problem_ = "a frame lacks its descriptor";
      nonsense_ = true;
      return false;
    }
    next.fd = std::move(descriptors_.front());
    descriptors_.pop_front();
  }
  used_ += head_bytes + length;
  return true;
}

channel::result channel::receive(frame& next, base::duration wait) {
  const auto deadline = base::clock::now() + wait;
  for (;;) {
    if (take_frame(next)) return result::done;
    if (nonsense_ || !socket_) return result::ended;
    const result more = read_more(deadline - base::clock::now());
    if (more == result::ended) return more;
    if (more == result::nothing && base::clock::now() >= deadline) return more;
  }
}

// --------------------------------------------------------------------------------------------------- sending

bool channel::send_all(std::string_view head, std::string_view rest, int fd) {
  const auto deadline = base::clock::now() + send_limit;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  while (!head.empty() || !rest.empty()) {
    iovec parts[2] = {{const_cast<char*>(head.data()), head.size()},
                      {const_cast<char*>(rest.data()), rest.size()}};
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    if (fd >= 0) {
      message.msg_control = control;
      message.msg_controllen = sizeof control;
      cmsghdr* const rights = CMSG_FIRSTHDR(&message);
      rights->cmsg_level = SOL_SOCKET;
      rights->cmsg_type = SCM_RIGHTS;
      rights->cmsg_len = CMSG_LEN(sizeof(int));
      std::memcpy(CMSG_DATA(rights), &fd, sizeof fd);
    }
    const ssize_t sent = ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) {
      if (errno == EINTR) continue;
      const base::duration left = deadline - base::clock::now();
      if ((errno == EAGAIN || errno == EWOULDBLOCK || errno == ETOOMANYREFS) &&
          left > base::duration::zero()) {
        poll_for(socket_.get(), POLLOUT, std::min<base::duration>(left, milliseconds(50)));
        continue;
      }
      problem_ = errno == EAGAIN || errno == EWOULDBLOCK ? "it takes nothing" : std::strerror(errno);
      return false;
    }
    fd = -1;  // it went with the first byte
    const auto bytes = static_cast<std::size_t>(sent);
    const std::size_t of_head = std::min(bytes, head.size());
    head.remove_prefix(of_head);
    rest.remove_prefix(bytes - of_head);
  }
  return true;
}

bool channel::send(kind what, std::uint32_t number, std::string_view bytes, int fd) {
  std::string head;
  head.push_back(static_cast<char>(what));
  head.push_back(fd >= 0 ? 1 : 0);
  put(head, number);
  put(head, static_cast<std::uint32_t>(bytes.size()));
  return send_all(head, bytes, fd);
}

bool channel::send_line(std::string_view line) {
  return send_all(line, {}, -1);
}

}  // namespace dualbus::app::hand_over
