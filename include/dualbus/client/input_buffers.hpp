#pragma once

#include <dualbus/base/read_buffer.hpp>
#include <dualbus/resp/request_parser.hpp>

#include <cstddef>
#include <memory>
#include <vector>

namespace dualbus::client {

/// A part of a request that came without its end: its bytes and the state of their parser.
struct partial_input {
  base::read_buffer buffer;
  resp::request_parser parser;
};

/// The buffers into which one worker reads requests. Quiet clients share one; a client whose last request
/// came in part has a buffer of its own until the rest is there.
class input_buffers {
 public:
  base::read_buffer shared;            ///< empty between two clients
  resp::request_parser shared_parser;  ///< likewise

  std::unique_ptr<partial_input> take();
  void give_back(std::unique_ptr<partial_input> partial);

  /// limits.max_request, in bytes.
  void set_max_request(std::size_t bytes);
  std::size_t max_request() const { return max_request_; }

 private:
  std::vector<std::unique_ptr<partial_input>> spares_;
  std::size_t max_request_ = 0;
};

}  // namespace dualbus::client
