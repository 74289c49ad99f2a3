#pragma once

#include <sockserv/server/tcp.hpp>

namespace sockserv::inline abi_0 {

/// Serves UDP datagrams over IPv4 or IPv6, one at a time; the handler is a `DatagramRequestHandler` or a
/// `BaseRequestHandler<Datagram>`. It derives from TCPServer as in Python, since all but the socket is the same.
///
/// On a wildcard address it answers each client from the address that this client asked at; see `DatagramSocket`.
///
/// Datagrams longer than `ServerOptions::max_packet_size` are cut and say so; empty ones are requests like any other.
/// Construction, errors and thread safety as for TCPServer.
template <class Handler>
class UDPServer : public TCPServer<Handler> {
 public:
  explicit UDPServer(const Address& address, ServerOptions options = {})
      : UDPServer(detail::udp_server, address, std::move(options)) {}
  /// Serves a socket that is bound already.
  explicit UDPServer(AdoptedSocket socket, ServerOptions options = {})
      : UDPServer(detail::udp_server, socket, std::move(options)) {}
  ~UDPServer() override { this->begin_destruction(typeid(UDPServer)); }

 protected:
  template <class AddressOrSocket>
  UDPServer(const detail::ServerKind& kind, const AddressOrSocket& where, ServerOptions&& options)
      : TCPServer<Handler>(kind, where, std::move(options)) {
    TCPServer<Handler>::require_datagram_handler();
  }
};

}  // namespace sockserv::inline abi_0
