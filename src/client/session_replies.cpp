#include <dualbus/client/session.hpp>

#include <memory>
#include <utility>

// The running requests of a session, and the transaction that its client has begun.
namespace dualbus::client {

void running_request::keep_arguments(resp::arguments args) {
  arguments_ = std::make_unique<std::vector<std::string>>(cut_arguments(args));
}

base::chunk_queue& running_request::reply() {
  return owner_->replies().target(*this);
}

void running_request::finish(metrics::outcome outcome) {
  owner_->finish(*this, outcome);
}

void session::begin_transaction() {
  in_transaction_ = true;
  replies_.begin_acknowledging();
}

open_transaction::pointer session::take_transaction() {
  in_transaction_ = false;
  return std::move(transaction_);
}

}  // namespace dualbus::client
