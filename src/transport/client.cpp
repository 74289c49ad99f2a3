#include "client.hpp"

#include <sockserv/detail/request_scope.hpp>

#include "socket_transport.hpp"

namespace sockserv::inline abi_0::detail {
namespace {

struct Anybody {
  static Scheduler& scheduler() noexcept {
    Scheduler& scheduler = scheduler_of_caller();
    scheduler.take_turns();
    return scheduler;
  }
};

}  // namespace

Transport& client_transport() noexcept {
  static constinit SocketTransport<Anybody> transport;
  return transport;
}

}  // namespace sockserv::inline abi_0::detail
