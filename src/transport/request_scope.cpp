#include <sockserv/detail/request_scope.hpp>

#include <sockserv/detail/scheduler.hpp>
#include <stdexcept>
#include <utility>

namespace sockserv::inline abi_0::detail {
namespace {

thread_local RequestScope* innermost = nullptr;

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

RequestScope*& RequestScope::current() noexcept { return innermost; }

RequestScope* RequestScope::enter(RequestScope* scope) noexcept { return std::exchange(innermost, scope); }

Scheduler& RequestScope::scheduler_outside() noexcept {
  return innermost ? *innermost->scheduler_ : thread_scheduler();
}

RequestScope::~RequestScope() { innermost = outer_; }

RequestScope& RequestScope::of_request() {
  if (!innermost || !innermost->has_request()) {
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

Scheduler& scheduler_of_caller() noexcept { return innermost ? innermost->scheduler() : thread_scheduler(); }

LiveRequests* requests_of_caller() noexcept {
  return innermost && innermost->has_request() ? &innermost->live_requests() : nullptr;
}

template <>
SOCKSERV_EXPORT Binding<Connection> current_binding() {
  if (!innermost || !innermost->binding_ || !innermost->stream_) throw_unbound();
  return {*innermost->stream_, *innermost->client_address_, *innermost->server_};
}

template <>
SOCKSERV_EXPORT Binding<Datagram> current_binding() {
  if (!innermost || !innermost->binding_ || !innermost->datagram_) throw_unbound();
  return {*innermost->datagram_, *innermost->client_address_, *innermost->server_};
}

}  // namespace sockserv::inline abi_0::detail
