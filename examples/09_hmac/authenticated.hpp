#pragma once

#include <sockserv.hpp>
#include <utility>

namespace example {

/// What the servers of a program ask of their clients; to be set before there is a server.
inline sockserv::Authentication required_authentication;

// snippet: mixin
/// A server whose clients must know the key. The mixin does it; that it is a class of its own is only because the
/// examples make their servers from the command line.
template <class Server>
class Authenticated : public sockserv::HmacAuthMixIn<Server> {
 public:
  Authenticated(const sockserv::Address& address, sockserv::ServerOptions options)
      : sockserv::HmacAuthMixIn<Server>(address, std::move(options)) {
    this->authentication = required_authentication;
  }
  ~Authenticated() override { this->server_close(); }
};
// snippet end

}  // namespace example
