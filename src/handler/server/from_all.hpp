#pragma once

#include <dualbus/client/session.hpp>
#include <dualbus/handler/services.hpp>

#include <string>
#include <utility>
#include <vector>

namespace dualbus::handler {

/// Answers with what all workers say to the question: `write(resp::encoder&, answers)` puts it together when
/// all answers are there, if the client still is.
template <typename Write>
void answer_from_all(server_services& services, session& client, routed_request& request,
                     colleagues::question question, Write write) {
  client.defer(request);
  services.workers().ask(
      std::move(question), [&services, id = client.id(), write](const std::vector<std::string>& answers) {
        session* const waiting = services.clients().find(id);
        if (waiting == nullptr) return;
        waiting->complete(metrics::outcome::ok, [&](resp::encoder& out) { write(out, answers); });
      });
}

}  // namespace dualbus::handler
