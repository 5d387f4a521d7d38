#include "report.hpp"

#include <chrono>
#include <cstdint>
#include <sys/resource.h>
#include <utility>

#include <spdlog/fmt/fmt.h>

namespace dualbus::fleet {
namespace {

// Further debts are only counted.
constexpr std::size_t listed_debts = 20;

double milliseconds(std::chrono::nanoseconds value) {
  return std::chrono::duration<double, std::milli>(value).count();
}

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto of = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return of(usage.ru_utime) + of(usage.ru_stime);
}

latency_histogram all_latency(const delivery_book& book) {
  latency_histogram all;
  for (const latency_histogram& one : book.latency) all.merge(one);
  return all;
}

std::uint64_t missing_deliveries(const fleet& run) {
  std::uint64_t sum = 0;
  for (const ledger::debt& debt : run.missing()) sum += debt.messages;
  return sum;
}

std::string_view verdict(const options& o, const fleet& run) {
  return !o.check ? "off" : run.passed() ? "passed" : "failed";
}

std::string latency_line(std::string_view name, const latency_histogram& h) {
  if (h.count() == 0) return fmt::format("  {:<13} nothing was delivered\n", name);
  return fmt::format("  {:<13} p50 {:.3f}  p99 {:.3f}  p99.9 {:.3f}  max {:.3f} ms  ({} deliveries)\n", name,
                     milliseconds(h.percentile(0.5)), milliseconds(h.percentile(0.99)),
                     milliseconds(h.percentile(0.999)), milliseconds(h.max()), h.count());
}

// One object; names and texts are ours and need no escaping, but for error codes, which a server sends.
class json_object {
 public:
  template <typename Number>
  json_object& number(std::string_view name, Number value) {
    return raw(name, fmt::format("{}", value));
  }
  json_object& text(std::string_view name, std::string_view value) {
    return raw(name, fmt::format("\"{}\"", printable(value)));
  }
  json_object& raw(std::string_view name, std::string_view json) {
    text_ += fmt::format("{}\"{}\": {}", text_.empty() ? "" : ", ", printable(name), json);
    return *this;
  }
  std::string str() const { return "{" + text_ + "}"; }

 private:
  static std::string printable(std::string_view text) {
    std::string result;
    for (const char c : text) result += c >= ' ' && c <= '~' && c != '"' && c != '\\' ? c : '?';
    return result;
  }
  std::string text_;
};

std::string json_latency(const latency_histogram& h) {
  json_object o;
  o.number("count", h.count());
  for (const auto& [name, share] : {std::pair{"p50", 0.5}, {"p99", 0.99}, {"p99.9", 0.999}, {"max", 1.0}}) {
    if (h.count() > 0) {
      o.number(name, milliseconds(h.percentile(share)));
    } else {
      o.raw(name, "null");
    }
  }
  return o.str();
}

std::string json_options(const options& o) {
  return json_object()
      .text("scenario", o.migrated ? "migrated" : "legacy")
      .text("server", to_string(o.server))
      .number("engines", o.engines)
      .number("streams", o.streams)
      .number("subscriptions", o.subscriptions)
      .number("targets", o.targets)
      .number("rate", o.rate)
      .number("payload_bytes", o.payload_bytes)
      .number("marketdata_share", o.marketdata_share)
      .text("poll", to_string(o.poll))
      .text("readers", name_of(o.readers))
      .number("count", o.count)
      .number("pause_ms", milliseconds(o.pause))
      .raw("batch_acks", o.batch_acks ? "true" : "false")
      .raw("missing_groups", o.missing_groups ? "true" : "false")
      .text("flood", o.flood ? name_of(*o.flood) : "")
      .number("seed", o.seed)
      .str();
}

std::string json_errors(const call_counters& calls) {
  json_object o;
  for (const auto& [code, count] : calls.by_code()) o.number(code, count);
  return o.str();
}

}  // namespace

std::string text_report(const options& o, const fleet& run) {
  const delivery_book& book = run.book();
  const ledger::totals& counts = book.entries.counts();
  const fleet_counters& c = book.counters;
  std::string out = fmt::format(
      "{} engines, {}, {} streams, {} read by each, {:g} messages/s each, poll {}, {}{}; {:.1f} s\n",
      o.engines, o.migrated ? "migrated" : "legacy", o.streams, o.subscriptions, o.rate, to_string(o.poll),
      name_of(o.readers), o.missing_groups ? ", groups missing" : "", run.measured_seconds());
  out +=
      fmt::format("published       {} entries: marketdata {}, engine_logic {}; refused {}, answer lost {}\n",
                  counts.acknowledged, book.entries.published(bus_class::marketdata),
                  book.entries.published(bus_class::engine_logic), counts.refused, counts.answers_lost);
  out +=
      fmt::format("delivered       {} to groups: missing {}, duplicates {}, wrong {}; not of this run {}\n",
                  counts.delivered, missing_deliveries(run), counts.duplicates, counts.wrong, c.foreign);
  out += "publish -> delivered\n";
  out += latency_line("marketdata", book.latency[0]) + latency_line("engine_logic", book.latency[1]) +
         latency_line("all", all_latency(book));
  if (book.late.count() > 0) {
    out += fmt::format("  {} more after the last was published, after {:.1f} ms at most\n", book.late.count(),
                       milliseconds(book.late.max()));
  }
  out += fmt::format("polls           {}: {} empty, {} NOGROUP\n", c.polls, c.empty_polls,
                     c.calls.by_code("NOGROUP"));
  out += fmt::format("client calls    {}: {} failed, availability {:.4f} %\n", c.calls.calls(),
                     c.calls.failed(), 100 * c.calls.availability());
  for (const auto& [code, count] : c.calls.by_code()) out += fmt::format("  {:<13} {}\n", code, count);
  out +=
      fmt::format("connections     {} reconnects, {} entries recovered; {} messages given up as too late\n",
                  c.reconnects, c.recovered, c.skipped);
  if (const flood* f = run.flooding()) {
    out += fmt::format("flood           {}: {:.0f} messages/s, {} failed\n", name_of(*o.flood),
                       static_cast<double>(f->stored()) / f->seconds(), f->failed());
  }
  out += fmt::format("own CPU         {:.2f} s\n", cpu_seconds());
  for (std::size_t i = 0; i < run.missing().size() && i < listed_debts && o.check; ++i) {
    const ledger::debt& debt = run.missing()[i];
    out += fmt::format("missing         {} of {} for {}\n", debt.messages, run.who().streams()[debt.stream],
                       run.who().groups()[debt.group]);
  }
  out += fmt::format("check           {}\n", verdict(o, run));
  return out;
}

std::string json_report(const options& o, const fleet& run) {
  const delivery_book& book = run.book();
  const ledger::totals& counts = book.entries.counts();
  const fleet_counters& c = book.counters;
  json_object all;
  all.raw("options", json_options(o)).number("seconds", run.measured_seconds());
  all.raw("published", json_object()
                           .number("entries", counts.acknowledged)
                           .number("marketdata", book.entries.published(bus_class::marketdata))
                           .number("engine_logic", book.entries.published(bus_class::engine_logic))
                           .number("refused", counts.refused)
                           .number("answers_lost", counts.answers_lost)
                           .number("skipped_messages", c.skipped)
                           .str());
  all.raw("deliveries", json_object()
                            .number("delivered", counts.delivered)
                            .number("missing", missing_deliveries(run))
                            .number("duplicates", counts.duplicates)
                            .number("wrong", counts.wrong)
                            .number("foreign", c.foreign)
                            .number("recovered", c.recovered)
                            .str());
  all.raw("latency_ms", json_object()
                            .raw("marketdata", json_latency(book.latency[0]))
                            .raw("engine_logic", json_latency(book.latency[1]))
                            .raw("all", json_latency(all_latency(book)))
                            .raw("after_publishing", json_latency(book.late))
                            .str());
  all.raw("polls", json_object()
                       .number("total", c.polls)
                       .number("empty", c.empty_polls)
                       .number("nogroup", c.calls.by_code("NOGROUP"))
                       .str());
  all.raw("acks", json_object().number("calls", c.acks).number("not_pending", c.acks_without_entry).str());
  all.raw("calls", json_object()
                       .number("total", c.calls.calls())
                       .number("failed", c.calls.failed())
                       .number("availability", c.calls.availability())
                       .raw("errors", json_errors(c.calls))
                       .str());
  all.number("reconnects", c.reconnects);
  if (const flood* f = run.flooding()) {
    all.raw("flood", json_object()
                         .text("bus", name_of(*o.flood))
                         .number("stored", f->stored())
                         .number("failed", f->failed())
                         .number("seconds", f->seconds())
                         .str());
  }
  all.number("cpu_seconds", cpu_seconds()).text("check", verdict(o, run));
  return all.str() + "\n";
}

}  // namespace dualbus::fleet
