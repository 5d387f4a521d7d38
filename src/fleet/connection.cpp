#include "connection.hpp"

#include <dualbus/base/socket.hpp>
#include <dualbus/resp/encoder.hpp>

#include <array>
#include <cerrno>
#include <chrono>
#include <sys/socket.h>

namespace dualbus::fleet {
namespace {

// The legacy client waits this long before it tries again.
constexpr std::chrono::milliseconds retry_interval{100};
constexpr std::size_t read_bytes = 64 * 1024;
constexpr int max_vectors = 16;

}  // namespace

connection::connection(event_loop& loop, boost::asio::ip::tcp::endpoint address, std::string client_name,
                       reply_handler& owner)
    : loop_(loop),
      address_(std::move(address)),
      client_name_(std::move(client_name)),
      owner_(owner),
      out_(loop.chunks(), true),
      retry_(loop.io()) {}

connection::~connection() {
  close();
}

void connection::open() {
  fd_ = base::start_connect(address_.data(), static_cast<unsigned>(address_.size()));
  if (!fd_) return lost();
  write_armed_ = true;
  loop_.poller().add(fd_.get(), *this, {.write = true, .half_close = false});
}

void connection::close() {
  closed_ = true;
  open_ = false;
  retry_.cancel();
  if (fd_) loop_.poller().remove(fd_.get(), *this);
  fd_.reset();
  out_.clear();
}

void connection::connected() {
  base::set_no_delay(fd_.get());
  open_ = true;
  greetings_ = 0;
  if (!client_name_.empty()) {
    const std::array<std::string_view, 3> args = {"CLIENT", "SETNAME", client_name_};
    resp::encoder(out_).request(args);
    ++greetings_;
  }
  owner_.on_open(*this);
}

// The only way from connecting or open to trying again.
void connection::lost() {
  if (closed_) return;
  if (fd_) loop_.poller().remove(fd_.get(), *this);
  fd_.reset();
  out_.clear();
  input_.release();
  scanner_.reset();
  retry_.expires_after(retry_interval);
  retry_.async_wait([this](const boost::system::error_code& error) {
    if (!error && !closed_) open();
  });
  if (!open_) return;
  open_ = false;
  ++losses_;
  owner_.on_lost(*this);
}

void connection::update_interest() {
  const bool write = !out_.empty();
  if (write == write_armed_) return;
  write_armed_ = write;
  loop_.poller().modify(fd_.get(), *this, {.read = true, .write = write});
}

void connection::flush() {
  if (!open_) return;
  while (!out_.empty()) {
    iovec vectors[max_vectors];
    msghdr message{};
    message.msg_iov = vectors;
    message.msg_iovlen = static_cast<std::size_t>(out_.gather(vectors, max_vectors));
    const ssize_t written = ::sendmsg(fd_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (written < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) break;
      return lost();
    }
    out_.consume(static_cast<std::size_t>(written));
  }
  update_interest();
}

void connection::on_writable() {
  if (!open_) {
    if (base::connect_error(fd_.get()) != 0) return lost();
    connected();
    if (!open_) return;
    write_armed_ = false;
    loop_.poller().modify(fd_.get(), *this, {.read = true});
  }
  flush();
}

void connection::on_hangup(bool) {
  lost();
}

void connection::on_readable() {
  const std::span<char> room = input_.prepare(read_bytes);
  const ssize_t received = ::recv(fd_.get(), room.data(), room.size(), MSG_DONTWAIT);
  if (received < 0) {
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return;
    return lost();
  }
  if (received == 0) return lost();
  input_.commit(static_cast<std::size_t>(received));
  parse(base::clock::now());
  flush();
}

void connection::parse(base::time_point received) {
  while (open_ && !input_.empty()) {
    const resp::scan_status status = scanner_.scan(input_.data());
    if (status == resp::scan_status::incomplete) return;
    if (status == resp::scan_status::error) return lost();
    const std::string_view reply = input_.data().substr(0, scanner_.consumed());
    const char type = scanner_.type();
    scanner_.reset();
    if (greetings_ > 0) {
      --greetings_;
    } else {
      owner_.on_reply(*this, reply, type, received);
    }
    if (open_) input_.consume(reply.size());
  }
}

}  // namespace dualbus::fleet
