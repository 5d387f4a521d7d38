#include <dualbus/client/session.hpp>
#include <dualbus/command/absent_key.hpp>
#include <dualbus/operation/exec_operation.hpp>
#include <dualbus/resp/request_parser.hpp>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

// Every key may be a stream with parts on all buses, so DEL, EXPIRE and their kin go to all of them. Most
// keys are no streams, and then the parts of most buses do nothing, whenever they are carried out: a bus that
// does not have the keys has carried its part out. That is as atomic as the rest, for the parts of several
// buses are never carried out at the same moment.
namespace dualbus::operation {
namespace {

constexpr int most_vectors = 64;  // of a part that is worth a survey

}  // namespace

bool exec_operation::read_keys(block& part, std::vector<std::string>& keys) const {
  iovec vectors[most_vectors];
  const int count = part.bytes_.gather(vectors, most_vectors);
  std::string bytes;
  for (int i = 0; i < count; ++i) {
    bytes.append(static_cast<const char*>(vectors[i].iov_base), vectors[i].iov_len);
  }
  if (bytes.size() != part.bytes_.size()) return false;
  resp::request_parser parser({.max_request = bytes.size() + 1});
  for (std::string_view rest = bytes; !rest.empty(); parser.reset()) {
    if (parser.parse(rest) != resp::parse_status::complete) return false;
    const auto absent = command::answer_without_key(parser.args(), version_);
    if (!absent) return false;
    keys.emplace_back(absent->key);
    part.absent_replies_.push_back(absent->reply);
    rest.remove_prefix(parser.consumed());
  }
  return part.absent_replies_.size() == part.requests_.size();
}

std::vector<exec_operation::question> exec_operation::survey() {
  if (blocks_.size() < 2) return {};
  std::vector<question> asked;
  for (const auto& b : blocks_) {
    std::vector<std::string> keys;
    if (b->only_whole_keys_ && !b->selects() && read_keys(*b, keys))
      asked.push_back({b.get(), std::move(keys)});
  }
  // Links are needed anyway if more than one part is sure to do something.
  if (asked.size() + 1 < blocks_.size()) asked.clear();
  return asked;
}

void exec_operation::ask(const std::vector<question>& questions) {
  if (owner_ != nullptr) owner_->hold_behind_exec();
  outstanding_ = questions.size();
  for (const auto& [part, keys] : questions) {
    const auto write = [&keys = keys](base::chunk_queue& out) {
      std::vector<std::string_view> exists = {"EXISTS"};
      exists.insert(exists.end(), keys.begin(), keys.end());
      resp::encoder(out).request(exists);
    };
    backend::pipeline& requests = env_.buses.bus(part->bus_).requests(version_, database_, env_.turn.now);
    part->stage_ = block::stage::asking;
    // Without it, the operation is freed if it is the last part.
    if (!requests.accepts()) {
      failed(*part, backend::failure::bus_down);
    } else if (requests.encode(write)) {
      requests.end(*part, 0, env_.turn.now);
    } else {
      part->problem_ = out_of_memory_text;
      if (--outstanding_ == 0) end_survey();
    }
  }
}

void exec_operation::surveyed(block& from, const backend::reply_view& reply) {
  from.absent_ = reply.bytes == ":0\r\n";  // an error comes again when its part is carried out
  if (--outstanding_ == 0) end_survey();
}

void exec_operation::end_survey() {
  for (const auto& b : blocks_) {
    b->stage_ = block::stage::idle;
    if (b->problem_.empty()) continue;
    return abort_with("EXECABORT Transaction discarded because of: " + b->problem_,
                      metrics::outcome::refused);
  }
  for (auto at = blocks_.begin(); at != blocks_.end();) {
    const block& part = **at;
    if (!part.absent_) {
      ++at;
      continue;
    }
    for (std::size_t i = 0; i < part.requests_.size(); ++i) {
      absent_.push_back({part.requests_[i], part.absent_replies_[i]});
    }
    at = blocks_.erase(at);
  }
  if (blocks_.empty()) return conclude();
  begin();
}

}  // namespace dualbus::operation
