#include <dualbus/client/input_buffers.hpp>

#include <utility>

namespace dualbus::client {
namespace {

constexpr std::size_t most_spares = 64;
constexpr std::size_t spare_bytes = std::size_t{64} << 10;

}  // namespace

std::unique_ptr<partial_input> input_buffers::take() {
  std::unique_ptr<partial_input> partial;
  if (spares_.empty()) {
    partial = std::make_unique<partial_input>();
  } else {
    partial = std::move(spares_.back());
    spares_.pop_back();
  }
  partial->parser.set_limits({.max_request = max_request_});
  return partial;
}

void input_buffers::give_back(std::unique_ptr<partial_input> partial) {
  partial->parser.reset();
  partial->buffer.consume(partial->buffer.size());
  if (partial->buffer.capacity() > spare_bytes) partial->buffer.release();
  if (spares_.size() < most_spares) spares_.push_back(std::move(partial));
}

void input_buffers::set_max_request(std::size_t bytes) {
  max_request_ = bytes;
  shared_parser.set_limits({.max_request = bytes});
}

}  // namespace dualbus::client
