#pragma once

#include <dualbus/stream/parked_reads.hpp>

#include <map>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dualbus::stream {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

/// Two buses that watch keys, and what is to be done as sentences: "arm a/0" (key a on bus 0),
/// "1 looks at a/0 a/1", "1 expires". Readers are numbered from 1 in the order in which they parked.
class ParkedReadsTest : public testing::Test {
 protected:
  using source = parked_reads::source;
  using cause = parked_reads::cause;
  using reader_id = parked_reads::reader_id;
  static constexpr command::bus_index all = command::no_bus;

  ParkedReadsTest() {
    reads_.watcher_up(0, now_);
    reads_.watcher_up(1, now_);
  }

  std::vector<std::string> told() {
    std::vector<std::string> result;
    for (const auto& what : reads_.take_actions()) {
      using kind = parked_reads::action::kind;
      if (what.what == kind::arm) {
        result.push_back("arm " + what.key + "/" + std::to_string(what.bus));
      } else if (what.what == kind::expire) {
        result.push_back(std::to_string(what.reader) + " expires");
      } else {
        result.push_back(std::to_string(what.reader) + " looks at");
        for (const auto& where : what.targets) {
          result.back() += " " + keys_[what.reader].at(where.source) + "/" + std::to_string(where.bus);
        }
        because_ = what.because;
        since_ = what.since;
      }
    }
    return result;
  }

  /// Parks a reader that knows nothing of what is there.
  reader_id park(const std::vector<source>& sources, std::optional<std::string_view> group,
                 std::optional<base::duration> block = {},
                 const std::vector<parked_reads::sightings>& seen = {}) {
    std::optional<base::time_point> deadline;
    if (block) deadline = now_ + *block;
    const reader_id id = reads_.park(sources, group, seen, deadline, false, now_);
    for (const source& s : sources) keys_[id].emplace_back(s.key);
    return id;
  }
  /// The key is watched on both buses, and the reader has found nothing since: nobody has anything to do.
  void settle(reader_id reader, std::string_view key) {
    reads_.armed(0, key, now_);
    reads_.armed(1, key, now_);
    nothing(reader);
    nothing(reader);
    ASSERT_THAT((told(), nothing(reader), told()), IsEmpty());
  }
  reader_id park_settled(std::string_view key, std::optional<std::string_view> group,
                         std::optional<base::duration> block = {}) {
    const reader_id id = park({{key}}, group, block);
    settle(id, key);
    return id;
  }

  void nothing(reader_id reader) { reads_.swept(reader, {}, {}, now_); }
  void changed(command::bus_index bus, std::string_view key) { reads_.changed(bus, key, now_); }
  void armed(command::bus_index bus, std::string_view key) { reads_.armed(bus, key, now_); }
  void added(command::bus_index bus, std::string_view key) {
    reads_.added(bus, reads_.waited_for(key), false, now_);
  }
  void pass(base::duration time) {
    now_ += time;
    reads_.advance(now_);
  }

  base::time_point now_{std::chrono::hours(1)};
  parked_reads reads_{2};
  std::map<reader_id, std::vector<std::string>> keys_;
  cause because_ = cause::none;  // of the last look
  base::time_point since_{};
};

}  // namespace dualbus::stream
