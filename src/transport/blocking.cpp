#include "socket_transport.hpp"
#include "thread_scheduler.hpp"

namespace sockserv::inline abi_0::detail {
namespace {

struct PlainThreads {
  static ThreadScheduler& scheduler() noexcept { return plain_thread; }
};

}  // namespace

Transport& blocking() noexcept {
  static constinit SocketTransport<PlainThreads> transport;
  return transport;
}

}  // namespace sockserv::inline abi_0::detail
