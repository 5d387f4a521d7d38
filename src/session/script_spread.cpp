#include <dualbus/resp/encoder.hpp>
#include <dualbus/session/script_spread.hpp>
#include <dualbus/session/session.hpp>
#include <dualbus/session/worker_context.hpp>

#include <functional>

namespace dualbus::session {
namespace {

// Programs that make up a text for each call would fill any memory.
constexpr std::size_t most_texts = 10'000;

}  // namespace

void script_spread::spread(const session& client, std::string_view text, command::bus_index bus) {
  const resp::protocol version = client.protocol();
  loaded& known = loaded_[version == resp::protocol::resp3 ? 1 : 0];
  const std::size_t buses = context_.bus_count();
  // Counters that only grow: the sum is another one whenever one of them is.
  std::uint64_t since = context_.daemon.script_flushes.load(std::memory_order_relaxed);
  for (std::size_t i = 0; i < buses; ++i) {
    since += context_.bus(static_cast<command::bus_index>(i))
                 .requests(version, client.database(), context_.now)
                 .connection_number();
  }
  if (known.since != since || known.texts.size() >= most_texts) known.texts.clear();
  known.since = since;
  if (!known.texts.insert(std::hash<std::string_view>{}(text)).second) return;
  const std::string_view load[] = {"SCRIPT", "LOAD", text};
  for (std::size_t i = 0; i < buses; ++i) {
    if (i == bus) continue;
    backend::pipeline& requests =
        context_.bus(static_cast<command::bus_index>(i)).requests(version, client.database(), context_.now);
    if (!requests.accepts()) continue;
    resp::encoder(requests.begin()).request(load);
    requests.end(*this, 0, context_.now);
  }
}

void script_spread::forget() {
  for (loaded& known : loaded_) known.texts.clear();
}

}  // namespace dualbus::session
