#pragma once

#include <sockserv/server/tcp.hpp>
#include <sockserv/server/udp.hpp>

namespace sockserv::inline abi_0 {

/// Serves connections to a Unix socket, by path or abstract name, one at a time; the handler is one of streams.
///
/// Who may connect is up to the permissions of the path's directory and to `Connection::peer_credentials()`; an
/// abstract name has no permissions.
///
/// @par The path
/// `server_close()` removes the path if it is still the file that this server made. A path whose server exited without
/// that is stale: no process has its socket open any more. `server_bind()` removes a stale path and binds to it, unless
/// `ServerOptions::allow_reuse_address` is false. A path that a socket is bound to, whether it listens yet or not, is
/// an error, and so is a file of another kind.
///
/// Of several servers of sockserv that start on one path at the same time, one starts and can be reached; the others
/// throw. To remove a stale path, a server locks its folder (flock(2)) until it has bound its own socket. If it may not
/// read the folder, or another process keeps the lock for five seconds, it goes on without, and this is not promised.
/// It throws if it may not remove the path. Programs that remove paths without that lock are not covered.
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

}  // namespace sockserv::inline abi_0
