#pragma once

#include "exec_test.hpp"

#include <dualbus/operation/waiting_read.hpp>

#include <string>
#include <utility>
#include <vector>

namespace dualbus::operation::test {

inline const std::string nil = "*-1\r\n";

/// The answer of a bus to a read of `key` that finds one entry of that ID.
inline std::string one_entry(std::string_view key, std::string_view id) {
  return "*1\r\n*2\r\n" + bulk(key) + "*1\r\n*2\r\n" + bulk(id) + "*2\r\n$1\r\nf\r\n$1\r\nv\r\n";
}

/// As the client sees the entry 1700000000000-3 of bus b, which has slot 2.
inline const std::string entry_of_b = one_entry("s", "1700000000000-2000000000003");

/// Reads each key on each of its buses, all at once, and waits if there is BLOCK: the plainest use of
/// waiting_read.
class plain_read final : public waiting_read {
 public:
  plain_read(stream_environment& environment, session& owner, routed_request& request)
      : waiting_read(environment, owner, request,
                     stream::parse_read(command::command_table()[request.command], request.args)) {}

 private:
  base::task<> run() override {
    const bool waits = may_wait();
    if (request_.group) in_order_ = streams_.parking.reads_in_order(version_, database_);
    seen_.resize(keys_.size());
    bool queue = false;
    std::vector<parking_lot::target> all;
    for (std::uint32_t i = 0; i < keys_.size(); ++i) {
      keys_[i].always = request_.keys[i].from != stream::read_request::position::fresh && request_.group;
      if (waits) seen_[i] = streams_.parking.look(keys_[i].name, request_.group.has_value());
      queue |= waits && request_.group && streams_.parking.has_queue(keys_[i].name, *request_.group);
      for (std::size_t b = 0; b < env_.buses.count(); ++b) {
        const auto bus = static_cast<command::bus_index>(b);
        if (has(keys_[i], bus)) all.push_back({i, bus});
      }
    }
    if (!queue) co_await look(all);
    if (error_) {
      answer_error(*error_);
      co_return;
    }
    if (found() || !waits || owner_ == nullptr) {
      answer_entries();
      co_return;
    }
    const auto group = request_.group ? std::optional<std::string_view>(*request_.group) : std::nullopt;
    bool parked = park(group, seen_, deadline());
    for (;;) {
      if (parked) co_await suspend();
      if (last_event() != event::wake) {
        answer_event();
        co_return;
      }
      if (client_gone()) {
        parked = stay(targets());
        continue;
      }
      co_await look(targets());
      if (found() || owner_ == nullptr) {
        leave(owner_ != nullptr, ended_);
        answer_entries();
        co_return;
      }
      parked = stay(failed_);
    }
  }

  base::task<> look(std::vector<parking_lot::target> where) {
    failed_.clear();
    ended_.clear();
    error_.reset();
    for (const parking_lot::target& t : where) {
      const auto seen = note_sending(t.source, t.bus);
      if (!seen_[t.source].empty()) seen_[t.source][t.bus] = seen;
      const stream::read_request::key& key = request_.keys[t.source];
      const bool fresh = key.from == stream::read_request::position::fresh;
      const std::string id = fresh ? ">" : stream::to_string(key.id);
      std::vector<std::string_view> args = {"XREAD"};
      if (request_.group) args = {"XREADGROUP", "GROUP", *request_.group, request_.consumer};
      args.insert(args.end(), {"STREAMS", key.name, id});
      send(t.bus, args);
    }
    const parts all = co_await round();
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (all[i].is_error()) {
        failed_.push_back(where[i]);
        if (!all[i].failed) error_ = all[i];
      } else {
        add_entries(keys_[where[i].source], where[i].bus, all[i].reply);
        ended_.push_back(where[i]);
      }
    }
    for (key_read& k : keys_) k.chosen = k.found.cut(request_.count);
  }

  bool found() const {
    return std::any_of(keys_.begin(), keys_.end(),
                       [](const key_read& k) { return k.chosen > 0 || k.always; });
  }

  std::vector<parking_lot::sightings> seen_;
  std::vector<parking_lot::target> failed_, ended_;
  std::optional<part> error_;
};

/// A test of readers that wait.
class ReadsTest : public ExecTest {
 protected:
  explicit ReadsTest(bench_options options = {}) : ExecTest(std::move(options)) {
    const auto read = [this](session& client, routed_request& request) {
      (new plain_read(bench_.streams, client, request))->start();
    };
    bench_.handler.on("xread", read);
    bench_.handler.on("xreadgroup", read);
  }

  /// Answers all reads with nothing, until the readers wait.
  void settle() {
    for (int i = 0; i < 100; ++i) {
      bool any = false;
      for (fake_bus* const bus : {&a_, &b_}) {
        for (std::string text = bus->asked(); text != "(nothing)"; text = bus->asked()) {
          EXPECT_THAT(text, testing::StartsWith("XREAD"));
          bus->answers(nil);
          any = true;
        }
      }
      if (!any) return;
    }
    ADD_FAILURE() << "they look again and again";
  }
  /// The client reads with a group and waits.
  void waits(bench_client& client, const std::string& request = "XREADGROUP GROUP g c BLOCK 0 STREAMS s >") {
    client.says(request);
    settle();
    bench_.pass(std::chrono::milliseconds(100));
    settle();
    EXPECT_EQ(client.got(), "");
  }
  void waits() { waits(client_); }

  const std::string read_ = "XREADGROUP GROUP g c STREAMS s >";
};

}  // namespace dualbus::operation::test
