#include <sockserv/detail/request_scope.hpp>

#include <stdexcept>
#include <utility>

namespace sockserv::detail {
namespace {

thread_local RequestScope* current = nullptr;

[[noreturn]] void throw_unbound() {
  throw std::logic_error(
      "a request handler is constructed by its server, for one request; to try one without a server, use "
      "sockserv::testing::converse");
}

}  // namespace

RequestScope* RequestScope::enter(RequestScope* scope) noexcept { return std::exchange(current, scope); }

RequestScope::~RequestScope() { current = outer_; }

bool RequestScope::inside(const AbstractServer& server) noexcept {
  for (const RequestScope* scope = current; scope; scope = scope->outer_) {
    if (scope->server_ == &server) return true;
  }
  return false;
}

template <>
Binding<StreamRequest> current_binding() {
  if (!current || !current->binding_ || !current->stream_) throw_unbound();
  return {*current->stream_, *current->client_address_, *current->server_};
}

template <>
Binding<DatagramRequest> current_binding() {
  if (!current || !current->binding_ || !current->datagram_) throw_unbound();
  return {*current->datagram_, *current->client_address_, *current->server_};
}

}  // namespace sockserv::detail
