#include "fleet.hpp"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <random>
#include <stdexcept>
#include <utility>

#include <boost/asio/ip/tcp.hpp>

namespace dualbus::fleet {
namespace {

constexpr std::chrono::milliseconds look_interval{5};
constexpr std::chrono::seconds start_patience{10};

base::duration seconds(double value) {
  return std::chrono::duration_cast<base::duration>(std::chrono::duration<double>(value));
}

std::vector<std::uint32_t> readers_of(const roster& who) {
  std::vector<std::uint32_t> readers;
  for (std::size_t stream = 0; stream < who.streams().size(); ++stream)
    readers.push_back(who.readers(stream));
  return readers;
}

// A number that tells this run's messages from those that others have left; the seed is for choices that may
// repeat.
std::uint32_t new_run() {
  return std::random_device{}();
}

}  // namespace

fleet::fleet(const options& o)
    : options_(o),
      servers_(resolve()),
      one_server_(servers_[0] == servers_[1]),
      roster_(o.engines, o.streams, o.subscriptions),
      book_{ledger(readers_of(roster_)), {}, new_run()},
      phase_timer_(loop_.io()),
      signals_(loop_.io(), SIGINT, SIGTERM) {
  create_engines();
  if (o.flood) flood_.emplace(loop_, options_, *o.flood, servers_[static_cast<std::size_t>(*o.flood)]);
}

fleet::endpoints fleet::resolve() {
  boost::asio::ip::tcp::resolver resolver(loop_.io());
  const auto find = [&](const address& where) {
    boost::system::error_code error;
    const auto found = resolver.resolve(where.host, std::to_string(where.port), error);
    if (error) throw std::runtime_error("cannot resolve '" + where.host + "': " + error.message());
    return found.begin()->endpoint();
  };
  const boost::asio::ip::tcp::endpoint server = find(options_.server);
  return {options_.migrated ? find(options_.marketdata) : server, server};
}

void fleet::create_engines() {
  std::mt19937_64 seeds(options_.seed);
  for (const engine& self : roster_.engines()) {
    publishers_.push_back(
        std::make_unique<publisher>(loop_, options_, roster_, self, servers_, seeds(), book_));
    if (self.reads.empty()) continue;
    if (one_server_) {
      create_readers(self, 0, std::nullopt);
    } else {
      for (std::size_t bus = 0; bus < bus_classes; ++bus)
        create_readers(self, bus, static_cast<bus_class>(bus));
    }
  }
}

void fleet::create_readers(const engine& self, std::size_t bus, std::optional<bus_class> only) {
  const auto add = [&](std::vector<std::size_t> streams) {
    readers_.push_back(std::make_unique<reader>(loop_, options_, roster_, self, std::move(streams),
                                                servers_[bus], only, book_));
  };
  if (options_.readers != reader_style::parallel) return add(self.reads);
  for (const std::size_t stream : self.reads) add({stream});
}

std::optional<std::string> fleet::run() {
  await_signal();
  deadline_ = base::clock::now() + start_patience;
  create_groups();
  loop_.run();
  return failure_;
}

void fleet::later(base::duration delay, std::function<void()> step) {
  phase_timer_.expires_after(delay);
  phase_timer_.async_wait([step = std::move(step)](const boost::system::error_code& error) {
    if (!error) step();
  });
}

void fleet::create_groups() {
  const auto done = [this](const std::string& problem) {
    if (!problem.empty()) return fail(problem);
    if (--setups_to_come_ > 0) return;
    for (auto& r : readers_) r->open();
    for (auto& p : publishers_) p->open();
    await_connections();
  };
  setups_to_come_ = one_server_ ? 1 : bus_classes;
  for (std::size_t i = 0; i < setups_to_come_; ++i) {
    setups_.push_back(std::make_unique<group_setup>(loop_, servers_[i], roster_, !options_.missing_groups,
                                                    book_.counters.calls, done));
    setups_.back()->start();
  }
  later(start_patience, [this] { fail("no answer"); });
}

void fleet::await_connections() {
  const bool all =
      std::all_of(readers_.begin(), readers_.end(), [](const auto& r) { return r->is_open(); }) &&
      std::all_of(publishers_.begin(), publishers_.end(), [](const auto& p) { return p->is_open(); });
  if (all) return begin_publishing();
  if (base::clock::now() > deadline_) return fail("not every engine could connect");
  later(look_interval, [this] { await_connections(); });
}

void fleet::begin_publishing() {
  const base::time_point now = base::clock::now();
  book_.measured_from = now + seconds(options_.warmup_seconds);
  if (flood_) flood_->start();
  for (auto& p : publishers_) p->start(now);
  later(seconds(options_.warmup_seconds), [this] {
    std::fputs("dualbus-fleet: measuring\n", stderr);
    if (options_.seconds > 0) later(seconds(options_.seconds), [this] { end_publishing(); });
  });
}

void fleet::end_publishing() {
  if (measuring_ended_ != base::time_point{}) return;
  measuring_ended_ = base::clock::now();
  std::fputs("dualbus-fleet: measured\n", stderr);
  for (auto& p : publishers_) p->stop();
  if (flood_) flood_->stop();
  deadline_ = measuring_ended_ + seconds(options_.drain_seconds);
  await_deliveries();
}

bool fleet::published_all() const {
  return std::all_of(publishers_.begin(), publishers_.end(), [](const auto& p) { return p->is_idle(); });
}

bool fleet::settled() const {
  return book_.entries.owed() == 0 &&
         std::all_of(readers_.begin(), readers_.end(), [](const auto& r) { return r->is_settled(); });
}

void fleet::await_deliveries() {
  if (book_.publishing && published_all()) book_.publishing = false;
  if (!book_.publishing && (!options_.check || settled())) return finish();
  if (base::clock::now() > deadline_) return finish();
  later(look_interval, [this] { await_deliveries(); });
}

void fleet::finish() {
  missing_ = book_.entries.debts();
  for (auto& p : publishers_) p->close();
  for (auto& r : readers_) r->stop();
  signals_.cancel();
  loop_.stop();
}

void fleet::fail(std::string why) {
  failure_ = std::move(why);
  loop_.stop();
}

// The first signal ends the measurement, the second one everything.
void fleet::await_signal() {
  signals_.async_wait([this](const boost::system::error_code& error, int) {
    if (error) return;
    if (std::exchange(interrupted_, true) || book_.measured_from == base::time_point::max()) {
      return fail("interrupted");
    }
    end_publishing();
    await_signal();
  });
}

double fleet::measured_seconds() const {
  return std::chrono::duration<double>(measuring_ended_ - book_.measured_from).count();
}

bool fleet::passed() const {
  const ledger::totals& counts = book_.entries.counts();
  const bool published = counts.acknowledged > 0 || options_.rate <= 0;
  return published && missing_.empty() && counts.duplicates == 0 && counts.wrong == 0;
}

}  // namespace dualbus::fleet
