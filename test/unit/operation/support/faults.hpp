#pragma once

#include <dualbus/base/chunk_queue.hpp>

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>

// The clock and the memory of the whole program, as a test wants them; see worker_bench_test.cpp.
namespace dualbus::operation::test {

/// Every clock of the program goes on by so much at once.
void move_clock(std::chrono::nanoseconds by);

/// As long as it lives, an allocation of so many bytes or more finds no memory.
class short_of_memory {
 public:
  explicit short_of_memory(std::size_t least_bytes);
  ~short_of_memory();
  short_of_memory(const short_of_memory&) = delete;
  short_of_memory& operator=(const short_of_memory&) = delete;
};

/// As long as it lives, there is memory for so many chunks of requests, and for nothing else as large.
class last_chunks {
 public:
  last_chunks(base::chunk_pool& pool, std::size_t left) : hoard_(pool) {
    constexpr std::size_t most_free = 64;
    fill(hoard_, most_free + 1);
    base::chunk_queue spare(pool);
    fill(spare, left);
    spare.clear();
    short_.emplace(chunk_bytes);
  }

 private:
  static void fill(base::chunk_queue& queue, std::size_t chunks) {
    const std::string one(chunk_bytes, 'x');
    for (; chunks > 0; --chunks) queue.append(one);
  }

  static constexpr std::size_t chunk_bytes = std::size_t{64} << 10;
  base::chunk_queue hoard_;
  std::optional<short_of_memory> short_;
};

}  // namespace dualbus::operation::test
