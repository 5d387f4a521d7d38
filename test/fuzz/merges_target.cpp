#include "../unit/stream/replies.hpp"
#include "targets.hpp"

#include <dualbus/resp/reply_scanner.hpp>
#include <dualbus/stream/claims.hpp>
#include <dualbus/stream/info_merge.hpp>
#include <dualbus/stream/pending_merge.hpp>
#include <dualbus/stream/range_merge.hpp>

#include <algorithm>
#include <string>
#include <utility>

namespace dualbus::fuzz {
namespace {

template <typename Write>
void check_written(Write&& write) {
  const std::string written = stream::test::encoded(std::forward<Write>(write));
  resp::reply_scanner scanner;
  check(scanner.scan(written) == resp::scan_status::complete && scanner.consumed() == written.size(),
        "what is written is one whole reply");
}

// Two buses' answers to one request.
void merge(std::string_view one, std::string_view two) {
  using resp::encoder;
  using queue = base::chunk_queue;
  stream::info_merge info;
  info.add_stream(one, 1, stream::bus_role::anchor);
  info.add_stream(two, 2, stream::bus_role::other);
  info.add_groups(two, 1, stream::bus_role::anchor);
  info.add_consumers(one, 1);
  info.add_consumers(two, 2);
  check_written([&](encoder& out, queue& raw) { info.write_stream(out, raw); });
  check_written([&](encoder& out, queue& raw) { info.write_full(1, out, raw); });
  check_written([&](encoder& out, queue&) { info.write_groups(out); });
  check_written([&](encoder& out, queue& raw) { info.write_consumers(out, raw); });
  stream::pending_summary summary;
  summary.add(one, 1);
  summary.add(two, 2);
  check_written([&](encoder& out, queue&) { summary.write(out); });
  stream::pending_merge pending;
  pending.add(one, 1);
  pending.add(two, 2);
  pending.merge(2);
  check_written([&](encoder& out, queue& raw) { pending.write(out, raw); });
  stream::range_merge range(true, 2);
  range.add(one, 1);
  range.add(two, 2);
  range.merge();
  check_written([&](encoder& out, queue& raw) { range.write(out, raw); });
  stream::claim_merge claims;
  claims.add(one, 1);
  claims.add(two, 2);
  const auto claimed = claims.in_order_of({{5, stream::slot_span}, {5, 2 * stream::slot_span}});
  check_written([&](encoder& out, queue& raw) { stream::write_claims(claimed, out, raw); });
  stream::autoclaim_walk walk({1, 2}, {{0, 0}, false}, 2);
  for (std::string_view reply : {one, two}) {
    if (walk.next()) walk.take(std::string(reply));
  }
  check_written([&](encoder& out, queue& raw) { walk.write(out, raw); });
}

}  // namespace

void merges(std::string_view bytes) {
  std::string_view before;
  while (!bytes.empty()) {
    resp::reply_scanner scanner;
    if (scanner.scan(bytes) != resp::scan_status::complete) return;
    const std::string_view reply = bytes.substr(0, scanner.consumed());
    merge(reply, before.empty() ? reply : before);
    before = reply;
    bytes.remove_prefix(reply.size());
  }
}

}  // namespace dualbus::fuzz
