#include <sockserv/detail/request_scope.hpp>

#include <sockserv/connection.hpp>
#include <sockserv/datagram.hpp>
#include <stdexcept>
#include <utility>

namespace sockserv::detail {
namespace {

thread_local RequestScope* innermost = nullptr;

[[noreturn]] void throw_unbound() {
  throw std::logic_error(
      "a request handler is constructed by its server, for one request; to try one without a server, use "
      "sockserv::testing::converse");
}

}  // namespace

RequestScope::RequestScope(Connection& request, const Address& client_address, AbstractServer& server) noexcept
    : stream_(&request), transport_(request.transport_), client_address_(&client_address), server_(&server) {}

RequestScope::RequestScope(Datagram& request, const Address& client_address, AbstractServer& server) noexcept
    : datagram_(&request),
      transport_(request.socket().transport_),
      client_address_(&client_address),
      server_(&server) {}

RequestScope*& RequestScope::current() noexcept { return innermost; }

RequestScope* RequestScope::enter(RequestScope* scope) noexcept { return std::exchange(innermost, scope); }

RequestScope::~RequestScope() { innermost = outer_; }

RequestScope& RequestScope::of_request() {
  if (!innermost || !innermost->transport_) {
    throw std::logic_error("this_request and await are for request handlers, and for what they hand to offload()");
  }
  return *innermost;
}

bool RequestScope::inside(const AbstractServer& server) noexcept {
  for (const RequestScope* scope = innermost; scope; scope = scope->outer_) {
    if (scope->server_ == &server) return true;
  }
  return false;
}

template <>
Binding<Connection> current_binding() {
  if (!innermost || !innermost->binding_ || !innermost->stream_) throw_unbound();
  return {*innermost->stream_, *innermost->client_address_, *innermost->server_};
}

template <>
Binding<Datagram> current_binding() {
  if (!innermost || !innermost->binding_ || !innermost->datagram_) throw_unbound();
  return {*innermost->datagram_, *innermost->client_address_, *innermost->server_};
}

}  // namespace sockserv::detail
