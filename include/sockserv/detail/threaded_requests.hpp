#pragma once

#include <sockserv/detail/server_class.hpp>

namespace sockserv::inline abi_0::detail {

/// What the mixins that serve in threads have in common: the thread's part of a request.
template <ServerClass Server>
class ThreadedRequests : public Server {
 public:
  using Server::Server;
  using typename Server::request_type;

  /// What a thread does with a request: serves it, hands errors to `handle_error()`, and shuts it down.
  virtual void process_request_thread(request_type& request, const Address& client_address) {
    this->serve_request(request, client_address);
  }

 protected:
  /// Has the request served by one of the runner's threads; returns false if the runner has no room for it.
  bool process_in_thread(request_type& request, const Address& client_address) {
    return this->run_request(request, client_address, [this](request_type& own, const Address& address) {
      process_request_thread(own, address);
      return true;
    });
  }
};

}  // namespace sockserv::inline abi_0::detail
