#include <dualbus/backend/order_marker.hpp>
#include <dualbus/base/sha256.hpp>
#include <dualbus/resp/encoder.hpp>
#include <dualbus/resp/reply_reader.hpp>

namespace dualbus::backend {

echo judge_echo(std::string_view reply, std::string_view word) {
  const resp::reply_value value = resp::reply_reader(reply).next();
  if (value.is_error()) return echo::unclear;
  return value.type == '$' && value.text == word ? echo::right : echo::wrong;
}

order_marker::order_marker() : stem_("dualbusd-" + base::random_hex(16) + "-") {}

void order_marker::write(base::chunk_queue& out) {
  word_ = stem_ + std::to_string(++count_);
  const std::string_view echo[] = {"ECHO", word_};
  resp::encoder(out).request(echo);
  under_way_ = expected_ = true;
}

bool order_marker::fits(std::string_view reply, bool own) {
  const bool mine = reply.size() > word_.size() && judge_echo(reply, word_) == echo::right;
  if (!own) return !mine;
  under_way_ = false;
  expected_ = !mine;  // an unclear reply may be another request's, and the word still to come
  if (mine) return true;
  if (judge_echo(reply, word_) == echo::wrong) return false;
  return true;
}

bool order_marker::swallowed_by(std::string_view bytes, bool own) const {
  if (!under_way_ || word_.empty()) return false;
  if (!own) return bytes.find(word_) != bytes.npos;
  if (bytes.starts_with('-') || bytes.starts_with('!') || bytes.starts_with('+')) return false;
  const std::string reply = "$" + std::to_string(word_.size()) + "\r\n" + word_ + "\r\n";
  return !reply.starts_with(bytes);
}

}  // namespace dualbus::backend
