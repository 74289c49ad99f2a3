#pragma once

#include <memory>
#include <optional>
#include <sockserv/detail/server_socket.hpp>
#include <sockserv/server/base.hpp>
#include <utility>

namespace sockserv::inline abi_0 {

/// A socket that was bound (and, for streams, is listening) before this server: inherited from a service manager, say.
/// The server's constructor takes it over, and its `server_close()` closes it, but never removes its Unix path. If the
/// constructor throws, it is still the caller's.
struct AdoptedSocket {
  int descriptor;
};

/// Serves TCP connections over IPv4 or IPv6, one at a time; the handler is a `StreamRequestHandler` or a
/// `BaseRequestHandler<Connection>`. A mixin around it serves them concurrently.
///
///     sockserv::TCPServer<Upper> server({"127.0.0.1", 9000});
///     return sockserv::run(server);
///
/// The constructor binds and listens, so clients can connect from then on; if it throws, no descriptor stays open. It
/// cannot call overrides of `server_bind` and `server_activate`: a subclass that has any passes
/// `.bind_and_activate = false` and calls both itself.
///
/// @par Errors
/// The constructor throws boost::system::system_error, with the address in its message, if binding fails, and
/// std::invalid_argument for options or an address that make no sense.
///
/// @par Thread safety
/// As `AbstractServer`.
template <class Handler>
class TCPServer : public BaseServer<Handler> {
 public:
  using typename BaseServer<Handler>::request_type;

  explicit TCPServer(const Address& address, ServerOptions options = {})
      : TCPServer(detail::tcp_server, address, std::move(options)) {
    require_stream_handler();
  }
  /// Serves a socket that is bound and listening already.
  explicit TCPServer(AdoptedSocket socket, ServerOptions options = {})
      : TCPServer(detail::tcp_server, socket, std::move(options)) {
    require_stream_handler();
  }
  ~TCPServer() override { this->begin_destruction(typeid(TCPServer)); }

  /// Binds the socket as the options say, and learns the address. May be extended: see above.
  virtual void server_bind() {
    this->set_server_address(this->listener().open_socket().bind(this->server_address(), this->options()));
  }
  /// Listens. May be extended: see above.
  virtual void server_activate() { this->listener().open_socket().listen(this->options().request_queue_size); }

  std::optional<std::pair<request_type, Address>> get_request() override {
    detail::ServerSocket& socket = this->listener().open_socket();
    if constexpr (serves_streams) {
      return socket.accept();
    } else {
      return socket.receive(this->listener().socket(), this->options().max_packet_size, this->takes_requests_ahead());
    }
  }

  void shutdown_request(request_type& request) override {
    if constexpr (serves_streams) {
      this->end_connection(request);
    }
    this->close_request(request);
  }

  void close_request(request_type& request) override {
    if constexpr (serves_streams) request.close();
  }

 protected:
  TCPServer(const detail::ServerKind& kind, const Address& address, ServerOptions&& options)
      : BaseServer<Handler>(std::move(options)) {
    detail::require_family(kind, address);
    this->set_server_address(address);
    this->listener().own(std::make_shared<detail::ServerSocket>(address, kind.socket_type));
    if (this->options().bind_and_activate) {
      try {
        TCPServer::server_bind();
        TCPServer::server_activate();
      } catch (...) {
        this->listener().close();
        throw;
      }
    }
  }

  TCPServer(const detail::ServerKind& kind, AdoptedSocket socket, ServerOptions&& options)
      : BaseServer<Handler>(std::move(options)) {
    this->set_server_address(detail::ServerSocket::address_of(socket.descriptor));
    detail::require_family(kind, this->server_address());
    this->listener().own(std::make_shared<detail::ServerSocket>(socket.descriptor, kind.socket_type));
  }

  static constexpr bool serves_streams = std::is_same_v<request_type, Connection>;

  static constexpr void require_stream_handler() {
    static_assert(serves_streams || !detail::is_handler<Handler>,
                  "TCPServer and UnixStreamServer serve streams: their handler derives from StreamRequestHandler or "
                  "BaseRequestHandler<Connection>");
  }
  static constexpr void require_datagram_handler() {
    static_assert(!serves_streams || !detail::is_handler<Handler>,
                  "UDPServer and UnixDatagramServer serve datagrams: their handler derives from "
                  "DatagramRequestHandler or BaseRequestHandler<Datagram>");
  }
};

}  // namespace sockserv::inline abi_0
