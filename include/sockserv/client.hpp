#pragma once

/// The client's side: connections and datagrams to servers, be they of sockserv or not. Outside of handlers and in
/// them: there they wait as the handler does, so a handler on a fiber that asks another server holds up no one.

#include <chrono>
#include <cstdint>
#include <optional>
#include <sockserv/address.hpp>
#include <sockserv/connection.hpp>
#include <sockserv/datagram.hpp>
#include <sockserv/export.hpp>
#include <sockserv/files.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace sockserv::inline abi_0 {

/// Whom a client wants to reach: an `Address`, several of them, or a host's name and a port. Unlike an `Address`, it
/// keeps the name, which is looked up for each connection anew and may have several addresses; all are tried.
class SOCKSERV_EXPORT Destination {
 public:
  using time_point = std::chrono::steady_clock::time_point;

  /// A host, by name or as a number ("localhost", "192.0.2.1", "::1"), and a port.
  /// @throws std::invalid_argument if the host is empty, or `port` is not within 1 … 65535.
  Destination(std::string_view host, int port);
  /// @throws std::invalid_argument if the address is empty, or its port 0.
  Destination(const Address& address);  // NOLINT(google-explicit-constructor): an address is a destination
  /// Several, to be tried in this order.
  /// @throws std::invalid_argument if there is none, or one is empty or has port 0.
  explicit Destination(std::vector<Address> addresses);
  /// A Unix socket, as `Address` takes it.
  Destination(std::string_view unix_path) : Destination(Address(unix_path)) {}    // NOLINT
  Destination(const char* unix_path) : Destination(Address(unix_path)) {}         // NOLINT
  Destination(const std::string& unix_path) : Destination(Address(unix_path)) {}  // NOLINT

  /// The addresses in the order in which they should be tried, at least one. Looks a name up; in a handler that holds
  /// up no other.
  /// @throws timeout_error at the deadline; boost::system::system_error if the name cannot be resolved, or with
  ///     `errc::aborted` if the server aborts the handler that is calling.
  std::vector<Address> addresses(time_point deadline = time_point::max()) const;

  /// "localhost:80", or what `Address::to_string()` says of each.
  std::string to_string() const;

 private:
  std::vector<Address> addresses_;  // none if there is a name
  std::string host_;
  std::uint16_t port_ = 0;
};

/// A connection to a server: what a stream handler has of its client, a client has of its server. `create_connection`
/// makes it.
///
///     auto client = sockserv::create_connection({"localhost", 9000}, 5s);
///     client.wfile.write("hello\n");
///     std::optional<std::string_view> answer = client.rfile.readline();
///
/// The end of its scope closes it. What `wfile` still holds is sent before, but errors go unnoticed then: `close()`
/// reports them.
///
/// @par In handlers
/// Operations wait as the calling handler does. A connection that was made in a handler is shut down when that
/// handler's server aborts its requests (at the limit of `drain()`); it must not outlive the server. What its
/// operations throw is best caught: a handler that lets a `peer_gone_error` of such a connection escape looks as if its
/// client had gone.
///
/// @par Thread safety
/// As `Connection`, and as its files.
class SOCKSERV_EXPORT ClientConnection {
 public:
  using duration = Connection::duration;

  ClientConnection(const ClientConnection&) = delete;
  ClientConnection& operator=(const ClientConnection&) = delete;
  ~ClientConnection();

  /// The connection itself; `getpeername()` says which of the server's addresses it was.
  Connection connection;
  /// What the server sends.
  InputFile rfile{connection, wfile};
  /// What goes to the server.
  OutputFile wfile{connection};

  /// Sends what `wfile` holds and ends one or both directions, as `Connection::shutdown`. After `SHUT_WR` the server
  /// finds the end of the stream, and its answers can still be read.
  void shutdown(int how);

  /// Sends what `wfile` holds and closes; nothing if it is closed already. It is closed even if sending throws, and the
  /// connection ends even if a process that was forked meanwhile has a copy of its descriptor.
  void close();

 private:
  using time_point = std::chrono::steady_clock::time_point;

  friend ClientConnection create_connection(const Destination& destination, std::optional<duration> timeout,
                                            const StreamSettings& settings);

  ClientConnection(const Destination& destination, std::optional<duration> timeout, const StreamSettings& settings);
  void connect(const Destination& destination, time_point deadline);
  error_code connect_to(const Address& address, time_point deadline);
};

/// Connects to a server of streams, over TCP or a Unix socket, as Python's `socket.create_connection`.
///
/// All the addresses of the destination are tried in turn until one accepts. With a `timeout`, looking the name up and
/// all attempts together take no longer; an attempt has its share of the time that is left, so that an address which
/// does not answer leaves some for the others.
///
///     auto client = sockserv::create_connection({"example.org", 80}, 10s, {.timeout = 30s});
///
/// A Unix socket whose backlog is full is waited for.
///
/// @param timeout How long connecting may take; must be positive. No value: as long as the system tries. Unlike
///     Python's it says nothing about later operations: that is `StreamSettings::timeout`, or
///     `connection.settimeout()`.
/// @throws boost::system::system_error if no address accepts, with the last one's error and a message that names each
///     and why; `timeout_error` if there was no time left (outside of handlers too); with `errc::aborted` if the server
///     aborts the handler that is calling; std::invalid_argument for settings that make no sense.
SOCKSERV_EXPORT ClientConnection create_connection(const Destination& destination,
                                                   std::optional<ClientConnection::duration> timeout = std::nullopt,
                                                   const StreamSettings& settings = {});

/// A client of datagrams, over UDP or Unix sockets.
///
///     sockserv::DatagramEndpoint client({"localhost", 9000});
///     client.send("hello");
///     std::string answer = client.receive(1s).content;
///
/// One for a Unix socket binds a name of its own, which the system chooses in Linux's abstract namespace, so that it
/// can be answered; nothing of it is left behind.
///
/// A datagram may get lost, or come twice, and anybody can send one: `sender` says who did. Waits as the handler does
/// that is calling.
///
/// @par Thread safety
/// Any number of threads may send, and one may receive.
class SOCKSERV_EXPORT DatagramEndpoint {
 public:
  using duration = std::chrono::steady_clock::duration;

  /// A datagram and where it came from.
  struct Packet {
    std::string content;
    Address sender;
  };

  /// Of a name that has several addresses, the first is used.
  /// @throws what `Destination::addresses()` does; boost::system::system_error if there can be no socket.
  explicit DatagramEndpoint(const Destination& server);
  DatagramEndpoint(const DatagramEndpoint&) = delete;
  DatagramEndpoint& operator=(const DatagramEndpoint&) = delete;

  /// Sends one datagram to the server. Errors as `DatagramSocket::sendto`.
  void send(std::string_view packet) { socket_.sendto(packet, server_); }

  /// The next datagram, whole however long it is. Waits for it no longer than `timeout`, which must be positive; no
  /// value: indefinitely.
  /// @throws timeout_error; with `errc::aborted` if the server aborts the handler that is calling.
  Packet receive(std::optional<duration> timeout = std::nullopt);

  /// The server's address.
  const Address& getpeername() const noexcept { return server_; }
  /// This end's address; for UDP known once something has been sent.
  Address getsockname() const { return socket_.getsockname(); }
  /// The descriptor. Not to be closed by the caller.
  int fileno() const noexcept { return socket_.fileno(); }

 private:
  Address server_;
  DatagramSocket socket_;
};

}  // namespace sockserv::inline abi_0
