#pragma once

#include <dualbus/base/chunk_queue.hpp>
#include <dualbus/resp/encoder.hpp>

#include <string>
#include <vector>

/// Replies written by hand, and the bytes that something encodes.
namespace dualbus::stream::test {

inline std::string bulk(const std::string& text) {
  return "$" + std::to_string(text.size()) + "\r\n" + text + "\r\n";
}

inline std::string integer(long long value) {
  return ":" + std::to_string(value) + "\r\n";
}

inline std::string aggregate(char type, std::size_t size, const std::vector<std::string>& elements) {
  std::string text = type + std::to_string(size) + "\r\n";
  for (const std::string& e : elements) text += e;
  return text;
}

inline std::string array(const std::vector<std::string>& elements) {
  return aggregate('*', elements.size(), elements);
}

/// `write(encoder, queue)`
template <typename Write>
std::string encoded(Write&& write, resp::protocol version = resp::protocol::resp2) {
  base::chunk_pool pool(4096, 4);
  base::chunk_queue out(pool);
  resp::encoder encoder(out, version);
  write(encoder, out);
  std::string text;
  iovec vectors[64];
  while (!out.empty()) {
    const int count = out.gather(vectors, 64);
    std::size_t bytes = 0;
    for (int i = 0; i < count; ++i) {
      text.append(static_cast<const char*>(vectors[i].iov_base), vectors[i].iov_len);
      bytes += vectors[i].iov_len;
    }
    out.consume(bytes);
  }
  return text;
}

}  // namespace dualbus::stream::test
