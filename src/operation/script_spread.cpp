#include <dualbus/client/session.hpp>
#include <dualbus/operation/script_spread.hpp>
#include <dualbus/resp/encoder.hpp>

#include <functional>

namespace dualbus::operation {
namespace {

// Programs that make up a text for each call would fill any memory.
constexpr std::size_t most_texts = 10'000;

}  // namespace

void script_spread::spread(const session& client, std::string_view text, command::bus_index bus) {
  const resp::protocol version = client.protocol();
  loaded& known = loaded_[version == resp::protocol::resp3 ? 1 : 0];
  const std::size_t buses = env_.buses.count();
  if (buses == 1) return;
  // The counters only grow: the sum changes whenever one of them does.
  std::uint64_t since = flushes_.load(std::memory_order_relaxed);
  for (std::size_t i = 0; i < buses; ++i) {
    since += env_.buses.bus(static_cast<command::bus_index>(i))
                 .requests(version, client.database(), env_.turn.now)
                 .connection_number();
  }
  if (known.since != since || known.texts.size() >= most_texts) known.texts.clear();
  known.since = since;
  const std::size_t hash = std::hash<std::string_view>{}(text);
  if (known.texts.contains(hash)) return;
  const std::string_view load[] = {"SCRIPT", "LOAD", text};
  for (std::size_t i = 0; i < buses; ++i) {
    if (i == bus) continue;
    backend::pipeline& requests = env_.buses.bus(static_cast<command::bus_index>(i))
                                      .requests(version, client.database(), env_.turn.now);
    if (!requests.accepts()) continue;
    resp::encoder(requests.begin()).request(load);
    requests.end(*this, 0, env_.turn.now);
  }
  known.texts.insert(hash);  // not before: memory may run out
}

void script_spread::forget() {
  for (loaded& known : loaded_) known.texts.clear();
}

}  // namespace dualbus::operation
