#include <dualbus/backend/durable_links.hpp>

#include <algorithm>

namespace dualbus::backend {
namespace {

// Clients go on using what they use; a connection that nobody has used for this long is closed.
constexpr std::chrono::seconds keep_idle{60};

}  // namespace

durable_links::durable_links(const link_environment& environment)
    : shared_(environment),
      settings_(environment.settings),
      environment_{environment.io,   environment.poller, environment.pool,
                   settings_,        environment.target, environment.requests,
                   environment.name, counted_,           log_of::failures} {}

durable_links::~durable_links() = default;

void durable_links::follow_settings() {
  settings_ = shared_.settings;
  if (settings_.health_timeout.count() > 0) settings_.health_timeout += shared_.target.acknowledge.timeout;
}

durable_link& durable_links::of(resp::protocol version, int database, base::time_point now) {
  for (const auto& l : links_) {
    if (l->serves(version, database)) return *l;
  }
  follow_settings();
  links_.push_back(std::make_unique<durable_link>(environment_, shared_.metrics, version, database));
  links_.back()->start(now);
  return *links_.back();
}

void durable_links::give_up(reply_sink& sink, base::time_point now) {
  for (const auto& l : links_) l->give_up(sink, now);
}

void durable_links::start(base::time_point now) {
  if (shared_.target.acknowledge.wanted()) of(resp::protocol::resp2, 0, now);
}

void durable_links::stop(base::time_point now) {
  for (const auto& l : links_) l->stop(now);
}

bool durable_links::delivered() const {
  return std::all_of(links_.begin(), links_.end(), [](const auto& l) { return l->delivered(); });
}

void durable_links::renew(base::time_point now) {
  for (const auto& l : links_) l->renew(now);
}

void durable_links::drop_unannounced() {
  for (const auto& l : links_) l->requests().drop_unannounced();
}

void durable_links::drop_large_unneeded() {
  for (const auto& l : links_) l->requests().drop_large_unneeded();
}

bool durable_links::congested() const {
  return std::any_of(links_.begin(), links_.end(), [](const auto& l) { return l->requests().congested(); });
}

bool durable_links::holds_back() const {
  return std::any_of(links_.begin(), links_.end(), [](const auto& l) { return l->requests().holds_back(); });
}

void durable_links::receiving(std::vector<pipeline::incoming>& replies) const {
  for (const auto& l : links_) replies.push_back(l->requests().receiving());
}

void durable_links::flush(base::time_point now) {
  for (const auto& l : links_) l->flush(now);
}

void durable_links::add_links(std::vector<link*>& all) {
  for (const auto& l : links_) all.push_back(&l->link_to_move());
}

void durable_links::tick(base::time_point now, bool moving) {
  follow_settings();
  for (const auto& l : links_) l->tick(now);
  std::erase_if(links_, [&](const auto& l) {
    const bool kept = shared_.target.acknowledge.wanted() && l->serves(resp::protocol::resp2, 0);
    if (kept || moving || !l->idle_since(now - keep_idle)) return false;
    l->stop(now);
    return true;
  });
}

void durable_links::observe(metrics::bus_metrics& out) const {
  metrics::bus_metrics counted = counted_;
  counted.bus_duration = {};  // the writes' times are counted as those of the bus
  out += counted;
  for (const auto& l : links_) l->observe(out);
}

}  // namespace dualbus::backend
