#pragma once

#include <sockserv/server/tcp.hpp>
#include <sockserv/server/udp.hpp>

namespace sockserv {

/// Serves connections to a Unix socket, by path or abstract name, one at a time; the handler is one of streams.
///
/// The path is removed when the server closes, if it is still the file that this server made. A path left behind by a
/// server that ended without that is taken over, unless `ServerOptions::allow_reuse_address` is false; one that a
/// living server listens on is an error. Who may connect is up to the permissions of the path's directory and to
/// `StreamRequest::peer_credentials()`; an abstract name has no permissions.
///
/// Construction, errors and thread safety as for TCPServer.
template <class Handler>
class UnixStreamServer : public TCPServer<Handler> {
 public:
  explicit UnixStreamServer(const Address& path, ServerOptions options = {})
      : TCPServer<Handler>(detail::unix_stream_server, path, std::move(options)) {
    TCPServer<Handler>::require_stream_handler();
  }
  /// Serves a socket that is bound and listening already.
  explicit UnixStreamServer(AdoptedSocket socket, ServerOptions options = {})
      : TCPServer<Handler>(detail::unix_stream_server, socket, std::move(options)) {
    TCPServer<Handler>::require_stream_handler();
  }
  ~UnixStreamServer() override { this->begin_destruction(typeid(UnixStreamServer)); }
};

/// Serves datagrams to a Unix socket, by path or abstract name, one at a time; the handler is one of datagrams.
///
/// A client gets a reply only if it has bound its own socket; otherwise `client_address` is empty, and writing a reply
/// is the error `errc::no_reply_address`. A reply waits five seconds at the most for a client that does not read.
///
/// The path, construction, errors and thread safety as for UnixStreamServer.
template <class Handler>
class UnixDatagramServer : public UDPServer<Handler> {
 public:
  explicit UnixDatagramServer(const Address& path, ServerOptions options = {})
      : UDPServer<Handler>(detail::unix_datagram_server, path, std::move(options)) {}
  /// Serves a socket that is bound already.
  explicit UnixDatagramServer(AdoptedSocket socket, ServerOptions options = {})
      : UDPServer<Handler>(detail::unix_datagram_server, socket, std::move(options)) {}
  ~UnixDatagramServer() override { this->begin_destruction(typeid(UnixDatagramServer)); }
};

}  // namespace sockserv
