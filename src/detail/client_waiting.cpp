#include <sockserv/detail/client_waiting.hpp>

#include <algorithm>
#include <sockserv/detail/deadline.hpp>
#include <sockserv/detail/request_scope.hpp>
#include <sockserv/server/abstract.hpp>

#include "transfer.hpp"

namespace sockserv::detail {
namespace {

/// The scope of the handler that is calling; null: none is.
const RequestScope* scope_of_caller() noexcept {
  const RequestScope* const scope = RequestScope::current();
  return scope && scope->waiting() ? scope : nullptr;
}

}  // namespace

Waiting& waiting_of_caller() noexcept {
  const RequestScope* const scope = scope_of_caller();
  return scope ? *scope->waiting() : blocking();
}

LiveRequests* requests_of_caller() noexcept {
  const RequestScope* const scope = scope_of_caller();
  return scope ? &scope->server().live_requests() : nullptr;
}

std::size_t ClientWaiting::receive(int descriptor, std::span<const iovec> buffers, time_point deadline,
                                   error_code& error) noexcept {
  return waiting_of_caller().receive_elsewhere(descriptor, buffers, until(deadline), error);
}

std::size_t ClientWaiting::send(int descriptor, std::span<const iovec> buffers, time_point deadline,
                                error_code& error) noexcept {
  return waiting_of_caller().send_elsewhere(descriptor, buffers, until(deadline), error);
}

std::size_t ClientWaiting::send_unless_input(int descriptor, std::span<const iovec> buffers, time_point deadline,
                                             error_code& error) noexcept {
  return send_until_input(until(deadline), waiting_of_caller(), descriptor, buffers, error);
}

void ClientWaiting::send_to(int descriptor, std::string_view packet, const Address& address, const Host& source,
                            error_code& error) noexcept {
  waiting_of_caller().send_to(descriptor, packet, address, source, error);
}

void ClientWaiting::set_timeout(int, std::optional<duration> limit, error_code& error) noexcept {
  timeout_ = limit;
  error.clear();
}

Waiting::time_point ClientWaiting::until(time_point deadline) const noexcept {
  return timeout_ ? std::min(deadline, deadline_after(*timeout_)) : deadline;
}

}  // namespace sockserv::detail
