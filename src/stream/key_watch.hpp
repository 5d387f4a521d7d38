#pragma once

#include <cstdint>

namespace dualbus::stream {

/// Keeps track of how far one bus watches one key for one worker, as far as this side can know. It sees no
/// socket and no clock.
///
/// A bus announces the next change of a watched key, once, on a connection that does nothing else: the
/// watcher. The key is watched either by the watcher's own EXISTS, whose answer has to be awaited, or by an
/// *arming in front* of a read, on the connection of the reads: what stands behind it there is watched at
/// once.
///
/// An announcement does not say which change it is about, and comes on another connection than the replies.
/// But each arming is announced once, so they can be counted. An arming in front is sent only where none can
/// be in force any more: the last one was announced, or an entry was sent behind it on the same connection,
/// which uses it up. So the n-th announcement belongs to the n-th arming. One that belongs to an earlier
/// arming than the last is about a change that the reads behind the last one have seen, and means nothing.
///
/// An entry that is refused uses nothing up. Then the count is wrong, and all begins anew. A count that is
/// too low costs a useless read; one that is too high would pass over the announcement of an entry.
class key_watch {
 public:
  /// True if the watcher is to be asked to watch the key: then arm_answered() follows, or lost().
  bool arm();
  void arm_answered();

  /// True if an arming has to be sent in front of a read that is sent now on the connection of the reads;
  /// then arming_answered() follows.
  bool arm_in_front();
  /// `done`: it was carried out. False if something may have been passed over: nothing is watched then.
  bool arming_answered(bool done);

  /// An entry is sent on the connection of the reads; entry_answered() follows.
  void entry_sent();
  /// `added`: it has changed the key. False as for arming_answered().
  bool entry_answered(bool added);
  /// Entries that have no answer yet.
  std::uint32_t entries_under_way() const { return entries_; }

  /// True if every change behind a read that is sent now will count. `in_order`: it is sent on the connection
  /// of the reads.
  bool covers(bool in_order) const {
    return state_ == state::armed && !used_up_ && (in_order || (due_ <= 1 && armings_ == 0));
  }

  /// The bus has announced a change. False if every read that was sent while it was covered has seen the
  /// change.
  bool announced();
  /// Announcements do not arrive any more, or the connection of the reads is another one.
  void lost();

 private:
  enum class state : std::uint8_t { disarmed, arming, armed };

  std::uint32_t due_ = 0;                    // announcements of armings in front that are still to come
  std::uint32_t armings_ = 0, entries_ = 0;  // under way on the connection of the reads
  state state_ = state::disarmed;
  bool used_up_ = false;  // an entry was sent behind the last arming
};

}  // namespace dualbus::stream
