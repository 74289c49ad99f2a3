/// When a server accepts, and the account of what it accepts.

#include <sockserv/detail/request_scope.hpp>
#include <sockserv/error.hpp>

#include "core.hpp"

namespace sockserv::inline abi_0 {

bool AbstractServer::Core::has_room() const {
  return (max_connections_ == 0 || live_requests_.has_room(max_connections_)) && runner().has_room() && !is_worn_out();
}

bool AbstractServer::Core::is_worn_out() const noexcept {
  return max_requests_ > 0 && counters_->accepted - accepted_before_ >= max_requests_;
}

/// Any thread that accepts may ask. Where the answer is false because of a limit, `wake()` is called when there is
/// room.
bool AbstractServer::Core::may_accept() { return has_room() && !accept_pause_.end(); }

bool AbstractServer::Core::accept() {
  const detail::RequestScope scope(server_);
  return server_.handle_request_noblock();
}

void AbstractServer::Core::accept_succeeded() noexcept {
  detail::count(counters_->accepted);
  accept_pause_.succeeded();
}

bool AbstractServer::Core::accept_failed(const std::exception_ptr& error) noexcept {
  using Verdict = detail::AcceptPause::Verdict;
  detail::count(counters_->accept_errors);
  const Verdict verdict = accept_pause_.failed(error);
  if (verdict == Verdict::stop) {
    stop_with(error);
  } else if (accept_pause_.worth_logging(error)) {
    server_.log(LogLevel::warning, [&] {
      return "cannot accept: " + detail::describe(error) + (verdict == Verdict::pause ? "; accepting pauses" : "");
    });
  }
  return verdict != Verdict::stop;
}

std::optional<detail::Admission> AbstractServer::Core::admit(const Address& client_address, bool is_connection) {
  const std::size_t limit = server_.options().max_connections_per_address;
  if (limit == 0 || !is_connection || !client_address.is_ip()) return detail::Admission(*counters_);
  auto* const entry = connections_by_address_.enter(client_address, limit);
  if (!entry) return std::nullopt;
  return detail::Admission(*counters_, connections_by_address_, *entry);
}

}  // namespace sockserv::inline abi_0
