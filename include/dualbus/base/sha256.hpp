#pragma once

#include <string>
#include <string_view>

namespace dualbus::base {

/// The SHA-256 of `text` as 64 lower-case hexadecimal digits, which is how Redis's ACL writes passwords.
std::string sha256_hex(std::string_view text);

/// 64 hexadecimal digits in lower case, the only form that Redis's ACL takes.
bool is_sha256_hex(std::string_view text);

/// Takes the same time wherever the two differ; the time may only tell their lengths.
bool equal_in_constant_time(std::string_view one, std::string_view other);

/// `digits` hexadecimal digits from the system's random numbers.
std::string random_hex(std::size_t digits);

}  // namespace dualbus::base
