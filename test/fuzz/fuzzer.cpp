#include "targets.hpp"

#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  dualbus::fuzz::DUALBUS_FUZZ_TARGET({reinterpret_cast<const char*>(data), size});
  return 0;
}
