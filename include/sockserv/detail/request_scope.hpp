#pragma once

#include <sockserv/export.hpp>
#include <sockserv/fwd.hpp>

namespace sockserv::inline abi_0::detail {

class LiveRequests;
class Scheduler;

/// What a handler's first line may use; see `BaseRequestHandler`.
template <class Request>
struct Binding {
  Request& request;
  const Address& client_address;
  AbstractServer& server;
};

/// Says, for as long as it lives, for which server the current thread (or fiber) works, and which request it serves: so
/// that a handler finds what it is bound to while it is constructed, so that `this_request` knows its request, so that
/// whatever waits finds the scheduler of its caller, and so that a server knows when it is called from one of its own
/// handlers or hooks.
class SOCKSERV_EXPORT RequestScope {
 public:
  /// `live` has the requests of the server.
  RequestScope(Connection& request, const Address& client_address, AbstractServer& server, LiveRequests& live) noexcept;
  RequestScope(Datagram& request, const Address& client_address, AbstractServer& server, LiveRequests& live) noexcept;
  /// The thread accepts requests for this server, and serves none yet.
  explicit RequestScope(AbstractServer& server) noexcept : server_(&server) {}
  /// Whatever runs here waits by this scheduler, also in the scopes within. It works for no server yet.
  explicit RequestScope(Scheduler& scheduler) noexcept : scheduler_(&scheduler) {}
  RequestScope(const RequestScope&) = delete;
  RequestScope& operator=(const RequestScope&) = delete;
  ~RequestScope();

  /// The handler has been constructed; another one cannot be from here on.
  void handler_is_bound() noexcept { binding_ = false; }

  /// True if the current thread works for this server.
  static bool inside(const AbstractServer& server) noexcept;

  /// The innermost scope of the current thread; null: it works for no server. A reference to the thread's own variable,
  /// so that those who switch between fibers can exchange it.
  static RequestScope*& current() noexcept;

  /// The innermost scope that has a request.
  /// @throws std::logic_error if there is none.
  static RequestScope& of_request();

  AbstractServer& server() const noexcept { return *server_; }
  /// Returns the requests of that server. Only where there is a request.
  LiveRequests& live_requests() const noexcept { return *live_; }
  /// True if there is a request.
  bool has_request() const noexcept { return client_address_ != nullptr; }
  Scheduler& scheduler() const noexcept { return *scheduler_; }

 private:
  template <class Request>
  friend Binding<Request> current_binding();

  Connection* stream_ = nullptr;
  Datagram* datagram_ = nullptr;
  const Address* client_address_ = nullptr;
  AbstractServer* server_ = nullptr;
  LiveRequests* live_ = nullptr;
  Scheduler* scheduler_ = &scheduler_outside();
  bool binding_ = true;
  RequestScope* outer_ = enter(this);

  static Scheduler& scheduler_outside() noexcept;
  static RequestScope* enter(RequestScope* scope) noexcept;
};

/// Returns the scheduler by which the current thread or fiber waits, whether it runs a handler or not.
SOCKSERV_EXPORT Scheduler& scheduler_of_caller() noexcept;

/// Returns the requests of the server whose handler is calling; null outside of handlers.
LiveRequests* requests_of_caller() noexcept;

/// What the handler under construction is bound to. Defined for Connection and Datagram.
/// @throws std::logic_error if no server is constructing a handler.
template <class Request>
Binding<Request> current_binding();

}  // namespace sockserv::inline abi_0::detail
