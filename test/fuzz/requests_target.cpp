#include "../unit/resp/parse_helpers.hpp"
#include "targets.hpp"

namespace dualbus::fuzz {
namespace {

void compare(std::string_view bytes, resp::parser_limits limits) {
  const test::parsed_input whole = test::parse_whole(bytes, limits);
  check(whole.consumed <= bytes.size(), "no more is consumed than there is");
  check(test::parse_in_pieces(bytes, some_splits(bytes), limits) == whole,
        "pieces mean what the whole means");
  if (bytes.size() <= 200) {
    std::vector<std::size_t> each;
    for (std::size_t i = 1; i < bytes.size(); ++i) each.push_back(i);
    check(test::parse_in_pieces(bytes, each, limits) == whole, "single bytes mean what the whole means");
  }
  // A parsed request means the same when it is encoded again.
  for (const auto& request : whole.requests) {
    if (request.empty()) continue;
    const test::parsed_input again = test::parse_whole(test::encode(request));
    check(again.requests.size() == 1 && again.requests[0] == request && again.verbatim[0],
          "encoding is the inverse");
  }
}

}  // namespace

void requests(std::string_view bytes) {
  if (bytes.empty()) return;
  compare(bytes, {});
  // max_line stays: which of two mistakes a long line shows depends on how much of it has come, as in Redis.
  compare(bytes, {.max_request = 256});
}

}  // namespace dualbus::fuzz
