#include <sockserv/detail/request_scope.hpp>

#include <sockserv/detail/scheduler.hpp>
#include <stdexcept>
#include <utility>

namespace sockserv::inline abi_0::detail {
namespace {

thread_local RequestScope* innermost_scope = nullptr;

[[noreturn]] void throw_unbound() {
  throw std::logic_error(
      "a request handler is constructed by its server, for one request; to try one without a server, use "
      "sockserv::testing::converse");
}

}  // namespace

RequestScope::RequestScope(Connection& request, const Address& client_address, AbstractServer& server,
                           LiveRequests& live) noexcept
    : stream_(&request), client_address_(&client_address), server_(&server), live_(&live) {}

RequestScope::RequestScope(Datagram& request, const Address& client_address, AbstractServer& server,
                           LiveRequests& live) noexcept
    : datagram_(&request), client_address_(&client_address), server_(&server), live_(&live) {}

RequestScope*& RequestScope::current() noexcept { return innermost_scope; }

RequestScope* RequestScope::enter(RequestScope* scope) noexcept { return std::exchange(innermost_scope, scope); }

Scheduler& RequestScope::scheduler_outside() noexcept {
  return innermost_scope ? *innermost_scope->scheduler_ : thread_scheduler();
}

RequestScope::~RequestScope() { innermost_scope = outer_; }

RequestScope& RequestScope::of_request() {
  if (!innermost_scope || !innermost_scope->has_request()) {
    throw std::logic_error("this_request and await are for request handlers, and for what they hand to offload()");
  }
  return *innermost_scope;
}

bool RequestScope::inside(const AbstractServer& server) noexcept {
  for (const RequestScope* scope = innermost_scope; scope; scope = scope->outer_) {
    if (scope->server_ == &server) return true;
  }
  return false;
}

Scheduler& scheduler_of_caller() noexcept {
  return innermost_scope ? innermost_scope->scheduler() : thread_scheduler();
}

LiveRequests* requests_of_caller() noexcept {
  return innermost_scope && innermost_scope->has_request() ? &innermost_scope->live_requests() : nullptr;
}

template <>
SOCKSERV_EXPORT Binding<Connection> current_binding() {
  if (!innermost_scope || !innermost_scope->binding_ || !innermost_scope->stream_) throw_unbound();
  return {*innermost_scope->stream_, *innermost_scope->client_address_, *innermost_scope->server_};
}

template <>
SOCKSERV_EXPORT Binding<Datagram> current_binding() {
  if (!innermost_scope || !innermost_scope->binding_ || !innermost_scope->datagram_) throw_unbound();
  return {*innermost_scope->datagram_, *innermost_scope->client_address_, *innermost_scope->server_};
}

}  // namespace sockserv::inline abi_0::detail
