#pragma once

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string_view>
#include <vector>

namespace dualbus::fuzz {

// Each takes any bytes, and aborts if something is wrong.
void requests(std::string_view bytes);  ///< parsing as a whole and in pieces agree
void replies(
    std::string_view bytes);  ///< scanning as a whole and in pieces agree, reading walks exactly a reply
void routes(std::string_view bytes);          ///< every request gets a plan that makes sense
void configurations(std::string_view bytes);  ///< a configuration is read, or every mistake has a place
void merges(std::string_view bytes);          ///< whatever buses answer, a merge of it is one whole reply

inline void check(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "violated: %s\n", what);
  std::abort();
}

/// The places to split `bytes` at: up to 8, the same for the same bytes.
inline std::vector<std::size_t> some_splits(std::string_view bytes) {
  std::size_t seed = bytes.size();
  for (const char c : bytes) seed = seed * 31 + static_cast<unsigned char>(c);
  std::minstd_rand random(static_cast<unsigned>(seed % 2147483647U));
  std::vector<std::size_t> ends;
  for (std::size_t end = 0, n = 0; n < 8; ++n) {
    end += random() % (bytes.size() / 4 + 2);
    if (end >= bytes.size()) break;
    if (end > 0) ends.push_back(end);
  }
  return ends;
}

}  // namespace dualbus::fuzz
