#include "../unit/resp/parse_helpers.hpp"
#include "targets.hpp"

#include <dualbus/resp/reply_reader.hpp>
#include <dualbus/resp/reply_scanner.hpp>

namespace dualbus::fuzz {
namespace {

using resp::scan_status;

struct scanned {
  std::string types;
  std::vector<std::size_t> ends;
  scan_status last = scan_status::incomplete;
  bool operator==(const scanned&) const = default;
};

scanned scan_in_pieces(std::string_view bytes, const std::vector<std::size_t>& ends) {
  scanned result;
  resp::reply_scanner scanner;
  std::size_t start = 0;
  for (std::size_t i = 0; i <= ends.size(); ++i) {
    const std::size_t end = i < ends.size() ? ends[i] : bytes.size();
    while (start < end) {
      const test::heap_copy copy(bytes.substr(start, end - start));
      result.last = scanner.scan(copy.view());
      if (result.last == scan_status::error) return result;
      if (result.last == scan_status::incomplete) break;
      check(scanner.consumed() > 0 && scanner.consumed() <= end - start, "a reply lies in what there is");
      start += scanner.consumed();
      result.types += scanner.type();
      result.ends.push_back(start);
      scanner.reset();
    }
  }
  result.last = scan_status::incomplete;
  return result;
}

// Follows the counts, independently of the scanner's bookkeeping.
void walk(std::string_view reply, char type) {
  const test::heap_copy copy(reply);
  resp::reply_reader reader(copy.view());
  std::uint64_t left = 1;
  bool first = true;
  while (left > 0) {
    check(!reader.done(), "a complete reply holds all its values");
    const resp::reply_value value = reader.next();
    check(!first || value.type == type, "the reader sees the scanner's type");
    first = false;
    --left;
    left += value.elements * (value.type == '%' ? 2 : 1);
  }
  check(reader.done(), "a complete reply holds nothing else");
  resp::reply_reader skipper(copy.view());
  check(skipper.skip().size() == reply.size() && skipper.done(), "skipping passes over the whole reply");
}

}  // namespace

void replies(std::string_view bytes) {
  if (bytes.empty()) return;
  const scanned whole = scan_in_pieces(bytes, {});
  check(scan_in_pieces(bytes, some_splits(bytes)) == whole, "pieces mean what the whole means");
  if (bytes.size() <= 200) {
    std::vector<std::size_t> each;
    for (std::size_t i = 1; i < bytes.size(); ++i) each.push_back(i);
    check(scan_in_pieces(bytes, each) == whole, "single bytes mean what the whole means");
  }
  std::size_t start = 0;
  for (std::size_t i = 0; i < whole.ends.size(); ++i) {
    walk(bytes.substr(start, whole.ends[i] - start), whole.types[i]);
    start = whole.ends[i];
  }
}

}  // namespace dualbus::fuzz
