#pragma once

#include <sockserv/fwd.hpp>

namespace sockserv::detail {

/// What a handler's first line may use; see `BaseRequestHandler`.
template <class Request>
struct Binding {
  Request& request;
  const Address& client_address;
  AbstractServer& server;
};

/// Says, for as long as it lives, which request the current thread serves: so that a handler finds what it is bound
/// to while it is constructed, and so that a server knows when it is called from one of its own handlers.
class RequestScope {
 public:
  RequestScope(StreamRequest& request, const Address& client_address, AbstractServer& server) noexcept
      : stream_(&request), client_address_(&client_address), server_(&server) {}
  RequestScope(DatagramRequest& request, const Address& client_address, AbstractServer& server) noexcept
      : datagram_(&request), client_address_(&client_address), server_(&server) {}
  RequestScope(const RequestScope&) = delete;
  RequestScope& operator=(const RequestScope&) = delete;
  ~RequestScope();

  /// The handler has been constructed; another one cannot be from here on.
  void handler_is_bound() noexcept { binding_ = false; }

  /// True if the current thread serves a request of this server.
  static bool inside(const AbstractServer& server) noexcept;

 private:
  template <class Request>
  friend Binding<Request> current_binding();

  StreamRequest* stream_ = nullptr;
  DatagramRequest* datagram_ = nullptr;
  const Address* client_address_;
  AbstractServer* server_;
  bool binding_ = true;
  RequestScope* outer_ = enter(this);

  static RequestScope* enter(RequestScope* scope) noexcept;
};

/// What the handler under construction is bound to. Defined for StreamRequest and DatagramRequest.
/// @throws std::logic_error if no server is constructing a handler.
template <class Request>
Binding<Request> current_binding();

}  // namespace sockserv::detail
