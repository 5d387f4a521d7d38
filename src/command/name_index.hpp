#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <type_traits>

namespace dualbus::command {

// A name as numbers: up to eight bytes in each, in lower case, so that it is hashed and compared as a whole.
struct folded_name {
  std::uint64_t words[3];
  bool operator==(const folded_name&) const = default;
};

constexpr std::uint64_t repeated(std::uint8_t byte) {
  return 0x0101010101010101U * byte;
}

// Lower case for all eight bytes at once. The top bit of a byte tells whether the sum in it went beyond 127.
constexpr std::uint64_t fold(std::uint64_t bytes) {
  const std::uint64_t low = bytes & repeated(0x7f);
  const std::uint64_t beyond_z = low + repeated(0x7f - 'Z'), from_a = low + repeated(0x80 - 'A');
  const std::uint64_t upper = ~bytes & (from_a ^ beyond_z) & repeated(0x80);
  return bytes | upper >> 2;
}

// At most eight bytes as a number, the first byte the lowest, and zeros behind the last.
constexpr std::uint64_t load(const char* bytes, std::size_t size) {
  if (std::is_constant_evaluated() || size < 4) {
    std::uint64_t result = 0;
    for (std::size_t i = 0; i < size; ++i)
      result |= std::uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
    return result;
  }
  static_assert(std::endian::native == std::endian::little);
  if (size == 8) {
    std::uint64_t result;
    std::memcpy(&result, bytes, 8);
    return result;
  }
  std::uint32_t first, last;  // they overlap
  std::memcpy(&first, bytes, 4);
  std::memcpy(&last, bytes + size - 4, 4);
  return first | std::uint64_t{last} << (8 * (size - 4));
}

constexpr folded_name fold(std::string_view name) {
  folded_name result{};
  if (name.size() <= 8) {
    result.words[0] = fold(load(name.data(), name.size()));
    return result;
  }
  for (std::size_t i = 0; 8 * i < name.size(); ++i)
    result.words[i] = fold(load(name.data() + 8 * i, std::min<std::size_t>(8, name.size() - 8 * i)));
  return result;
}

/// Finds a row of a table by its `name`, which is in lower case, whatever the case of the asker. Built by the
/// compiler: open addressing, in several times as many slots as there are rows.
template <std::size_t Rows>
class name_index {
 public:
  static constexpr std::size_t longest_name = sizeof(folded_name);

  template <typename Row>
  constexpr explicit name_index(const std::array<Row, Rows>& rows) {
    for (std::size_t i = 0; i < Rows; ++i) {
      const folded_name name = fold(rows[i].name);
      std::size_t place = place_of(name);
      while (slots_[place].row >= 0) place = (place + 1) % slots_.size();
      slots_[place] = {name, static_cast<std::uint8_t>(rows[i].name.size()), static_cast<std::int16_t>(i)};
    }
  }

  /// The row's index; -1 if there is none of that name.
  int find(std::string_view name) const {
    if (name.size() > longest_name) return -1;
    const folded_name folded = fold(name);
    for (std::size_t place = place_of(folded); slots_[place].row >= 0; place = (place + 1) % slots_.size()) {
      if (slots_[place].name == folded && slots_[place].size == name.size()) return slots_[place].row;
    }
    return -1;
  }

 private:
  // Behind its last byte a name has zeros, as well as an argument that ends so: the sizes differ then.
  struct slot {
    folded_name name{};
    std::uint8_t size = 0;
    std::int16_t row = -1;
  };
  static constexpr int bits = std::bit_width(Rows) + 1;

  static constexpr std::size_t place_of(const folded_name& name) {
    const std::uint64_t mixed = name.words[0] ^ name.words[1] * 3 ^ name.words[2] * 5;
    return mixed * 0x9e3779b97f4a7c15U >> (64 - bits);
  }

  std::array<slot, std::size_t{1} << bits> slots_{};
};

}  // namespace dualbus::command
