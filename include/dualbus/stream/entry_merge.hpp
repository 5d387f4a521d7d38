#pragma once

#include <dualbus/base/chunk_queue.hpp>
#include <dualbus/resp/reply_reader.hpp>
#include <dualbus/stream/entry_id.hpp>

#include <cstdint>
#include <optional>
#include <vector>

namespace dualbus::stream {

/// The entries of one key that several buses answered to one read, and the reply made of them. Their payload
/// is copied once, when it is added, and moved into the reply, unless the entries of two buses interleave.
class entry_merge {
 public:
  /// `pool` is that of the queue that write() will be given.
  explicit entry_merge(base::chunk_pool& pool) : pool_(&pool) {}

  /// Takes the array of entries that `reader` stands at, in ascending order, from the bus with this slot; IDs
  /// get their client form. Returns how many there were. Entries whose ID has no client form are left out.
  std::size_t add(resp::reply_reader& reader, int slot);
  /// The same for a pinned key, whose IDs stay as they are; nothing else is added to such a merge.
  std::size_t add_as_is(resp::reply_reader& reader);

  bool empty() const { return runs_.empty(); }
  std::size_t omitted() const { return omitted_; }

  /// Decides what the reply will hold: `count` entries at most (0: all), none above `last`. Returns how many.
  std::size_t cut(std::uint64_t count, std::optional<client_id> last = std::nullopt);
  /// The largest ID of the chosen entries; there must be one.
  client_id last_chosen() const { return last_chosen_; }
  /// Appends the array of the entries that cut() left, and empties this object; call once, after cut().
  void write(base::chunk_queue& out);

 private:
  struct entry {
    client_id id;
    std::size_t bytes;
  };
  struct run {
    base::chunk_queue bytes;  // encoded, as in a reply
    std::vector<entry> entries;
  };
  /// Bytes of one run that stand together in the reply.
  struct segment {
    std::size_t run, bytes;
  };

  run& begin_run();

  base::chunk_pool* pool_;
  std::vector<run> runs_;
  std::vector<segment> segments_;
  std::size_t omitted_ = 0, chosen_ = 0;
  client_id last_chosen_;
};

}  // namespace dualbus::stream
