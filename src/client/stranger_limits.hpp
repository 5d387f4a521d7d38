#pragma once

#include <cstddef>

/// The limits of a client that must log in and has not. Redis has such limits, too: ten words of 16 KiB for a
/// request (networking.c, processMultibulkBuffer), and next to no output since CVE-2025-21605.
namespace dualbus::client::stranger_limits {

/// One request. AUTH and HELLO with everything they take are some hundred bytes.
inline constexpr std::size_t request_bytes = std::size_t{20} << 10;
/// One read that completes a request which came in part.
inline constexpr std::size_t read_bytes = std::size_t{2} << 10;
/// Replies that the client has not taken; with more it is closed.
inline constexpr std::size_t output_bytes = std::size_t{8} << 10;
/// Replies that the kernel keeps for the client.
inline constexpr std::size_t kernel_bytes = std::size_t{64} << 10;

}  // namespace dualbus::client::stranger_limits
