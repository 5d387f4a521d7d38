#pragma once

#include <dualbus/metrics/counter_row.hpp>
#include <dualbus/metrics/engine_table.hpp>

#include <tuple>

namespace dualbus::metrics {

// clang-format off
inline constexpr auto engine_rows = std::tuple(
    row(&engine_counters::connections,
        {section::engines, kind::gauge, "dualbus_engine_connections", "engine",
         "Connections of the engine now.",
         "its connections now"}),
    row(&engine_counters::commands,
        {section::engines, kind::counter, "dualbus_engine_commands_total", "engine",
         "Commands of the engine that were answered.",
         "commands that were answered"}),
    row(&engine_counters::failed_commands,
        {section::engines, kind::counter, "dualbus_engine_failed_commands_total", "engine",
         "Commands of the engine that were answered with an error, of Redis or of the daemon.",
         "of these, the ones answered with an error: every `outcome` but `ok`"}),
    row(&engine_counters::messages_published,
        {section::engines, kind::counter, "dualbus_engine_messages_published_total", "engine",
         "Messages (XADD) of the engine that got an ID.",
         "XADDs that got an ID"}),
    row(&engine_counters::messages_consumed,
        {section::engines, kind::counter, "dualbus_engine_messages_consumed_total", "engine",
         "Entries delivered to the engine by XREAD, and by XREADGROUP as new ones.",
         "entries delivered by XREAD, and as new ones (`>`) by XREADGROUP; entries that a consumer reads again or claims aren't counted twice"}),
    row(&engine_counters::polls_absorbed,
        {section::engines, kind::counter, "dualbus_engine_polls_absorbed_total", "engine",
         "Reads of the engine that the daemon answered without asking a bus.",
         "reads that the daemon answered without asking a bus"}),
    row(&engine_counters::bus_time,
        {section::engines, kind::counter, "dualbus_engine_backend_seconds_total", "engine",
         "Time from sending to answer, added up over the requests that the engine caused at buses.",
         "time from sending to answer, added up over the requests that the engine caused at buses; several at the same time count each. Waiting in BLPOP and its kin isn't counted"}));
// clang-format on
static_assert(lists_every_field(engine_rows), "a field of engine_counters has no row, or two");

}  // namespace dualbus::metrics
