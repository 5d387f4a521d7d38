#pragma once

#include <dualbus/base/read_buffer.hpp>
#include <dualbus/resp/request_parser.hpp>

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace dualbus::test {

/// Owns the arguments of a request, with the readable bytes behind each that a read_buffer has.
class owned_arguments {
 public:
  explicit owned_arguments(std::vector<std::string> texts) : texts_(std::move(texts)) {
    for (std::string& text : texts_) {
      const std::size_t size = text.size();
      text.append(base::read_buffer::padding, '\0');
      views_.emplace_back(text.data(), size);
    }
  }
  owned_arguments(std::initializer_list<std::string> texts)
      : owned_arguments(std::vector<std::string>(texts)) {}
  owned_arguments(const owned_arguments&) = delete;
  owned_arguments& operator=(const owned_arguments&) = delete;

  resp::arguments view() const { return views_; }
  operator resp::arguments() const { return views_; }  // NOLINT: stands in for the arguments themselves

 private:
  std::vector<std::string> texts_;
  std::vector<std::string_view> views_;
};

}  // namespace dualbus::test
