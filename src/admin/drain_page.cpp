#include "drain_page.hpp"

#include "json_writer.hpp"

#include <optional>
#include <string_view>
#include <vector>

namespace dualbus::admin {
namespace {

using std::chrono::milliseconds;

class drain_page {
 public:
  explicit drain_page(const daemon_snapshot& state) : state_(state) {}

  std::string render() {
    out_.object().name("buses").array();
    for (const drain_status& status : state_.draining) write_bus(status);
    out_.end().end();
    return out_.take();
  }

 private:
  void write_bus(const drain_status& status) {
    slot_ = state_.configuration->routing.buses[status.bus].id_slot;
    const drain_verdict verdict = status.verdict();
    out_.object().name("bus").text(state_.bus_name(status.bus));
    out_.name("state").text(drain_state_name(status));
    out_.name("drained");
    verdict == drain_verdict::unknown ? out_.null() : out_.boolean(verdict == drain_verdict::drained);
    write_time("drained_since", status.drained_since);
    write_time("checked_at", status.checked_at);
    out_.name("check_duration_ms").number(status.check_duration.count());
    out_.name("checks").number(status.checks);
    out_.name("failed_checks").number(status.failures);
    out_.name("healed_groups").number(status.healed_groups);
    out_.name("errors").array();
    for (const auto& [bus, reason] : status.errors) {
      out_.object().name("bus").text(state_.bus_name(bus)).name("error").text(reason).end();
    }
    out_.end();
    if (status.report) write_report(*status.report);
    out_.end();
  }

  void write_report(const drain_report& report) {
    out_.name("streams").object();
    out_.name("total").number(report.streams());
    out_.name("drained").number(report.streams_drained());
    out_.end();
    out_.name("undelivered_groups").number(report.undelivered_groups());
    out_.name("missing_groups").number(report.missing_groups());
    out_.name("pending_entries").number(report.pending_entries());
    out_.name("other_keys").number(report.other_keys());
    write_list("held_by", report.held(), [this](const drain_report::row& row) { write_row(row); });
    write_list("ignored_groups", report.ignored(), [this](const drain_report::row& row) { write_row(row); });
    write_list("ungrouped_streams", report.ungrouped(), [this](const drain_report::ungrouped_stream& row) {
      write_name("stream", row.stream);
      out_.name("database").number(std::int64_t{row.database});
      out_.name("entries").number(row.length);
    });
    write_list("pinned_streams", report.pinned(), [this](const drain_report::pinned_stream& row) {
      write_name("stream", row.stream);
      out_.name("bus").text(state_.bus_name(row.bus));
    });
  }

  template <typename Row, typename Write>
  void write_list(std::string_view name, const drain_report::list<Row>& list, Write&& write) {
    out_.name(name).object().name("total").number(list.total).name("listed").array();
    for (const Row& row : list.rows) {
      out_.object();
      write(row);
      out_.end();
    }
    out_.end().end();
  }

  void write_row(const drain_report::row& row) {
    write_name("stream", row.stream);
    out_.name("database").number(std::int64_t{row.database});
    out_.name("quiet_for_ms").number(row.quiet_for.count());
    out_.name("group");
    if (!row.group) {
      out_.null();
      return;
    }
    const drain_group& group = *row.group;
    out_.text(printable_name(group.name));
    out_.name("undelivered").boolean(group.next.has_value());
    out_.name("next_id");
    write_entry(group.next, row.logical);
    out_.name("next_bus_id");
    write_stored(group.next);
    out_.name("lag");
    group.lag ? out_.number(*group.lag) : out_.null();
    out_.name("pending").number(group.pending);
    out_.name("first_pending");
    if (const auto& first = group.first_pending) {
      out_.object().name("id");
      write_entry(first->id, row.logical);
      out_.name("bus_id");
      write_stored(first->id);
      write_name("consumer", first->consumer);
      out_.name("idle_ms").number(first->idle.count());
      out_.name("deliveries").number(first->deliveries).end();
    } else {
      out_.null();
    }
    out_.name("consumer_idle_ms");
    group.consumer_idle ? out_.number(group.consumer_idle->count()) : out_.null();
    write_buses("missing_on", group.missing_on);
    write_buses("unknown_on", group.unknown_on);
  }

  void write_buses(std::string_view name, const std::vector<command::bus_index>& buses) {
    out_.name(name).array();
    for (const command::bus_index bus : buses) out_.text(state_.bus_name(bus));
    out_.end();
  }

  void write_name(std::string_view member, const std::string& text) {
    out_.name(member).text(printable_name(text));
  }

  void write_time(std::string_view name, double unix_seconds) {
    out_.name(name);
    unix_seconds > 0 ? out_.seconds(unix_seconds) : out_.null();
  }

  // Writes null if the entry has no ID that clients could use. In other databases clients see the IDs that
  // the bus stores.
  void write_entry(std::optional<stream::bus_id> id, bool logical) {
    if (!logical) {
      write_stored(id);
      return;
    }
    const auto shown = id ? stream::entry_to_client(*id, slot_) : std::nullopt;
    shown ? out_.text(stream::to_string(*shown)) : out_.null();
  }

  void write_stored(std::optional<stream::bus_id> id) {
    id ? out_.text(stream::to_string(*id)) : out_.null();
  }

  const daemon_snapshot& state_;
  json_writer out_;
  int slot_ = 0;
};

}  // namespace

std::string render_drain_page(const daemon_snapshot& state) {
  return drain_page(state).render();
}

}  // namespace dualbus::admin
