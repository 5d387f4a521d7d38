#include <dualbus/backend/read_armer.hpp>
#include <dualbus/base/log.hpp>

#include <string>
#include <utility>

namespace dualbus::backend {

read_armer::read_armer(bus& target, command::bus_index index, listener& told)
    : bus_(target), index_(index), told_(told) {}

void read_armer::tick(std::optional<resp::protocol> version, std::int64_t watcher, base::time_point now) {
  version_ = version;
  pair_of_connections present;
  if (version && watcher != 0 && bus_.up()) {
    const pipeline& requests = bus_.requests(*version, 0, now);
    if (requests.connected()) present = {requests.connection_number(), watcher};
  }
  if (std::exchange(refused_, false)) next_try_ = now + patience;
  const bool again = next_try_ && now >= *next_try_;
  if (present == of_ && !again) return;
  next_try_.reset();
  of_ = {};
  set_ready(false);
  if (present.reads == 0) return;
  pipeline& requests = bus_.requests(*version, 0, now);
  const std::string id = std::to_string(watcher);
  const std::string_view args[] = {"CLIENT", "TRACKING", "ON", "REDIRECT", id, "OPTIN"};
  resp::encoder(requests.begin()).request(args);
  requests.end(tracking_, ++asked_, now);
  of_ = present;  // not before: without memory for the request it is sent later
}

void read_armer::arm(std::string_view key, std::uint32_t number, base::time_point now) {
  pipeline& requests = bus_.requests(*version_, 0, now);
  const std::string_view next_is_tracked[] = {"CLIENT", "CACHING", "YES"}, read[] = {"EXISTS", key};
  resp::encoder(requests.begin()).request(next_is_tracked);
  requests.end(caching_, number, now);
  resp::encoder(requests.begin()).request(read);
  requests.end(exists_, number, now);  // the last that may throw: then there is no answer
}

void read_armer::on_answer(step answered, std::uint32_t part, const reply_view* reply) {
  switch (answered) {
    case step::tracking:
      if (part != asked_ || of_.reads == 0) return;
      if (reply == nullptr || reply->type != '+') return note_refusal(reply);
      return set_ready(true);
    case step::caching:
      may_ = reply != nullptr && reply->type == '+';
      if (!may_) note_refusal(reply);
      return;
    case step::exists: {
      const bool done = may_ && reply != nullptr && reply->type == ':';
      if (done) said_ = false;
      if (!done && may_) note_refusal(reply);
      told_.on_armed_in_front(index_, part, done);
    }
  }
}

// Then only the watcher watches.
void read_armer::note_refusal(const reply_view* reply) {
  refused_ = true;
  if (reply != nullptr && reply->is_error() && !std::exchange(said_, true)) {
    base::info_limited(bus_.name(), "bus '{}' does not let reads watch their streams ({}): they take longer",
                       bus_.name(), base::in_log(reply->bytes.substr(1, reply->bytes.size() - 3), 200));
  }
  set_ready(false);
}

void read_armer::set_ready(bool ready) {
  if (ready == ready_) return;
  ready_ = ready;
  told_.on_armer(index_, ready);
}

}  // namespace dualbus::backend
