#pragma once

#include <dualbus/client/running_request.hpp>
#include <dualbus/client/session.hpp>
#include <dualbus/command/command_table.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dualbus::client::test {

class asked_request;

/// Knows as little of commands as a session needs: PING and ECHO are answered at once, GET is a request that
/// a test answers, and BLPOP waits until a test ends that. A test adds what it needs in `commands`.
class stub_handler final : public request_handler {
 public:
  using command_function = std::function<bool(session&, const request&)>;
  struct taken_request {
    std::uint64_t client;
    std::string text;  // the arguments with blanks between them
    bool operator==(const taken_request&) const = default;
  };

  bool handle(session& client, request& taken) override {
    std::string text;
    for (const std::string_view arg : taken.args) (text += text.empty() ? "" : " ") += arg;
    seen.push_back({client.id(), text});
    const int index = command::find_command(taken.args[0]);
    if (index >= 0) taken.command = static_cast<std::uint16_t>(index);
    client.set_last_command(taken.command);
    if (const auto own = commands.find(taken.args[0]); own != commands.end())
      return own->second(client, taken);
    if (taken.args[0] == "PING") {
      client.answer(taken, metrics::outcome::ok, [](resp::encoder& out) { out.status("PONG"); });
    } else if (taken.args[0] == "ECHO") {
      client.answer(taken, metrics::outcome::ok, [&](resp::encoder& out) { out.bulk(taken.args[1]); });
    } else if (taken.args[0] == "GET") {
      ask(client, taken);
    } else if (taken.args[0] == "BLPOP") {
      ask(client, taken);
      client.hold();
      client.set_blocked(true);
    } else {
      client.refuse(taken, "ERR unknown command");
    }
    return true;
  }
  void drop_unfinished() override { ++dropped; }
  void end_subscriptions(session& client) override {
    hears_no_more.push_back(client.id());
    client.set_subscriptions({});
  }
  std::vector<std::vector<std::string>> requests_to_hear(const session&) const override { return hearing; }
  void restore_subscriptions(session& client, const session_state& state) override {
    restored[client.id()] = state.subscriptions;
  }
  void restore_lost_watch(session& client) override { watch_lost.push_back(client.id()); }
  std::string denial_of(const session&, const std::vector<std::string>& words) override {
    const auto denied = denials.find(words[0]);
    return denied == denials.end() ? std::string() : denied->second;
  }

  /// Puts a request that a test answers into the client's queue; its name is the first argument.
  inline asked_request& ask(session& client, const request& taken);
  /// The request of that name; there is one.
  asked_request& of(std::string_view name) const { return *running.at(std::string(name)); }
  bool runs(std::string_view name) const { return running.contains(std::string(name)); }
  std::vector<std::string> seen_of(std::uint64_t client) const {
    std::vector<std::string> texts;
    for (const taken_request& each : seen) {
      if (each.client == client) texts.push_back(each.text);
    }
    return texts;
  }

  std::map<std::string, command_function, std::less<>> commands;
  std::vector<taken_request> seen;
  std::map<std::string, std::unique_ptr<asked_request>> running;
  std::vector<std::string> freed;  // the names of requests, in the order in which they were freed
  int dropped = 0;
  std::vector<std::uint64_t> hears_no_more;
  std::vector<std::vector<std::string>> hearing;
  std::map<std::uint64_t, std::vector<std::vector<std::string>>> restored;
  std::vector<std::uint64_t> watch_lost;
  std::map<std::string, std::string, std::less<>> denials;  // by the name of the command
};

/// A request whose fate a test decides.
class asked_request final : public running_request {
 public:
  asked_request(stub_handler& handler, session& owner, const request& taken, std::string name)
      : running_request(owner, taken), handler_(handler), name_(std::move(name)) {}

  void destroy() override {
    handler_.freed.push_back(name_);
    handler_.running.erase(name_);
  }
  bool detach() override { return !outlives; }
  bool unblock(bool with_error) override {
    unblocked.push_back(with_error);
    return true;
  }
  bool give_up_wait() override {
    ++given_up;
    return asks_bus_first;
  }
  bool waits() const override { return is_waiting; }
  std::vector<std::string> lasting_request() const override { return lasting; }
  bool refuse_wait(std::string_view error) override {
    refused_with = error;
    return can_end;
  }
  bool misplaced() const override { return is_misplaced; }
  bool taking() const override { return is_taking; }

  bool has_owner() const { return owner_ != nullptr; }
  /// Answers it with an encoded reply.
  void answer(std::string_view encoded, metrics::outcome outcome = metrics::outcome::ok) {
    reply().append(encoded);
    finish(outcome);
  }
  /// The wait is over, and has brought that.
  void bring(std::string_view encoded) {
    end_wait();
    answer(encoded);
  }
  /// The wait that was called off has brought nothing.
  void drop() {
    end_wait();
    owner_->drop_wait(*this);
    finish(metrics::outcome::ok);
  }
  /// The rest of the replies has come, for which nobody waits any more.
  void end_alone() { destroy(); }

  // Decided by a test.
  bool outlives = false, asks_bus_first = false, is_waiting = true, can_end = true, is_misplaced = false,
       is_taking = false;
  std::vector<std::string> lasting;
  // Asked by the session.
  std::vector<bool> unblocked;
  int given_up = 0;
  std::string refused_with;

 private:
  void end_wait() {
    owner_->set_blocked(false);
    owner_->release();
  }

  stub_handler& handler_;
  const std::string name_;
};

inline asked_request& stub_handler::ask(session& client, const request& taken) {
  const std::string name(taken.args.size() > 1 ? taken.args[1] : taken.args[0]);
  auto made = std::make_unique<asked_request>(*this, client, taken, name);
  asked_request& result = *made;
  running.emplace(name, std::move(made));
  client.enqueue(result);
  return result;
}

}  // namespace dualbus::client::test
