#include <sockserv/detail/client_transport.hpp>

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
  return scope && scope->transport() ? scope : nullptr;
}

}  // namespace

Transport& transport_of_caller() noexcept {
  const RequestScope* const scope = scope_of_caller();
  return scope ? *scope->transport() : blocking();
}

LiveRequests* requests_of_caller() noexcept {
  const RequestScope* const scope = scope_of_caller();
  return scope ? &scope->server().live_requests() : nullptr;
}

std::size_t ClientTransport::receive(int descriptor, std::span<const iovec> buffers, time_point deadline,
                                     error_code& error) noexcept {
  return transport_of_caller().receive_elsewhere(descriptor, buffers, earlier(deadline, limits_.receive), error);
}

std::size_t ClientTransport::send(int descriptor, std::span<const iovec> buffers, time_point deadline,
                                  error_code& error) noexcept {
  return transport_of_caller().send_elsewhere(descriptor, buffers, earlier(deadline, limits_.send), error);
}

std::size_t ClientTransport::send_unless_input(int descriptor, std::span<const iovec> buffers, time_point deadline,
                                               error_code& error) noexcept {
  return send_until_input(earlier(deadline, limits_.send), transport_of_caller(), descriptor, buffers, error);
}

void ClientTransport::send_to(int descriptor, std::string_view packet, const Address& address, const Host& source,
                              error_code& error) noexcept {
  transport_of_caller().send_to(descriptor, packet, address, source, error);
}

void ClientTransport::set_timeout(int, std::optional<duration> limit, int how, error_code& error) noexcept {
  limits_.set(limit, how);
  error.clear();
}

}  // namespace sockserv::detail
