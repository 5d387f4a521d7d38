#include <dualbus/base/sha256.hpp>

#include <array>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <vector>

namespace dualbus::base {
namespace {

constexpr std::string_view digits_of_hex = "0123456789abcdef";

template <typename Bytes>
std::string hex_of(const Bytes& bytes) {
  std::string text;
  for (const unsigned char byte : bytes) {
    text += digits_of_hex[byte >> 4];
    text += digits_of_hex[byte & 15];
  }
  return text;
}

}  // namespace

std::string sha256_hex(std::string_view text) {
  std::array<unsigned char, 32> digest{};
  // It fails only if the library has no SHA-256 at all; then no password may match anything.
  if (EVP_Digest(text.data(), text.size(), digest.data(), nullptr, EVP_sha256(), nullptr) != 1) return {};
  return hex_of(digest);
}

bool is_sha256_hex(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of(digits_of_hex) == std::string_view::npos;
}

bool equal_in_constant_time(std::string_view one, std::string_view other) {
  return one.size() == other.size() && CRYPTO_memcmp(one.data(), other.data(), one.size()) == 0;
}

std::string random_hex(std::size_t digits) {
  std::vector<unsigned char> bytes((digits + 1) / 2);
  // Without random numbers there is no secret to hand out.
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) return {};
  return hex_of(bytes).substr(0, digits);
}

}  // namespace dualbus::base
