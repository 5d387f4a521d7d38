#pragma once

#include <dualbus/stream/read_request.hpp>

#include <string_view>

namespace dualbus::session {

class session;
class worker_context;
struct request;

void start_group_read(worker_context& context, session& client, const request& what,
                      stream::read_request parsed);

/// The error of a bus that is there, but serves nobody for now.
inline bool is_unavailable(std::string_view error) {
  return error.starts_with("-LOADING") || error.starts_with("-MASTERDOWN") || error.starts_with("-BUSY ");
}

}  // namespace dualbus::session
