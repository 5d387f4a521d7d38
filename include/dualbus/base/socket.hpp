#pragma once

#include <dualbus/base/unique_fd.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

struct sockaddr;

namespace dualbus::base {

/// A listening, non-blocking socket on a numeric IPv4 or IPv6 address. With `shared`, several sockets may
/// listen on the port and the kernel spreads connections over them (SO_REUSEPORT).
/// Throws std::system_error whose text names address and port; a port in use is an error even with `shared`.
unique_fd listen_tcp(const std::string& address, std::uint16_t port, int backlog, bool shared);

/// The same on a Unix socket. A socket file that nobody listens on any more is replaced.
unique_fd listen_unix(const std::string& path, unsigned mode, int backlog);

/// A non-blocking socket whose connect() has begun; an empty result leaves the reason in errno.
unique_fd start_connect(const sockaddr* address, unsigned length);
unique_fd start_connect_unix(const std::string& path);

/// The error that a finished connect() left on the socket, 0 for none.
int connect_error(int fd);

/// Sends small messages at once. No effect on Unix sockets.
void set_no_delay(int fd);
/// Probes a silent peer after `idle`, then three times at a third of it; 0 turns it off.
void set_keepalive(int fd, std::chrono::seconds idle);

/// Makes the connection end with a reset, however it ends, also if the process does: bytes that the peer's
/// kernel has not acknowledged by then never arrive there (SO_LINGER of 0). Without this the kernel goes on
/// delivering them for minutes after close(). close_connection() is the exception. Unix sockets have no such
/// delivery: written bytes are at the peer.
void reset_when_closed(int fd);
/// Bytes that were written and that the peer's kernel has not acknowledged; on a Unix socket, that the peer
/// has not read.
std::size_t unacknowledged_bytes(int fd);
/// The kernel ends the connection when bytes stay unacknowledged for `limit` (TCP_USER_TIMEOUT); 0 means the
/// default of some 15 minutes.
void set_acknowledge_limit(int fd, std::chrono::milliseconds limit);
/// Closes a socket for which reset_when_closed() was called: in order if everything that was written is
/// acknowledged, with a reset otherwise.
void close_connection(unique_fd& fd);

/// "1.2.3.4:5", "[::1]:5" or "path:0", as Redis shows addresses.
std::string local_name(int fd);
std::string peer_name(int fd);

}  // namespace dualbus::base
