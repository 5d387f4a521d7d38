#include "ownership_board.hpp"

#include <cerrno>
#include <fcntl.h>
#include <stdexcept>
#include <sys/mman.h>
#include <sys/stat.h>
#include <system_error>
#include <utility>

namespace dualbus::app {
namespace {

// Pages are taken when they are touched.
constexpr std::size_t board_bytes = (std::size_t{ownership_board::offers} + 1) * sizeof(std::uint32_t);
constexpr int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

}  // namespace

ownership_board::ownership_board()
    : memory_(::memfd_create("dualbus-hand-over", MFD_CLOEXEC | MFD_ALLOW_SEALING)) {
  if (!memory_ || ::ftruncate(memory_.get(), board_bytes) != 0 ||
      ::fcntl(memory_.get(), F_ADD_SEALS, seals) != 0) {
    throw std::system_error(errno, std::generic_category(), "memory for a hand-over");
  }
  map();
}

// The seals keep its size, so that no access to it can end this process.
ownership_board::ownership_board(base::unique_fd memory) : memory_(std::move(memory)) {
  struct stat status {};
  const int sealed = memory_ ? ::fcntl(memory_.get(), F_GET_SEALS) : -1;
  if (sealed < 0 || (sealed & F_SEAL_SHRINK) == 0 || ::fstat(memory_.get(), &status) != 0 ||
      static_cast<std::size_t>(status.st_size) != board_bytes) {
    throw std::runtime_error("the running daemon gave no memory for the hand-over");
  }
  map();
}

ownership_board::~ownership_board() {
  if (words_ != nullptr) ::munmap(words_, board_bytes);
}

void ownership_board::map() {
  void* const at = ::mmap(nullptr, board_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory_.get(), 0);
  if (at == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "memory for a hand-over");
  words_ = static_cast<word_type*>(at);
}

void ownership_board::offer(std::uint32_t number) {
  word(number + 1).store(offered);
}

bool ownership_board::change(std::uint32_t index, std::uint32_t from, std::uint32_t to) {
  return index <= offers && word(index).compare_exchange_strong(from, to);
}

}  // namespace dualbus::app
