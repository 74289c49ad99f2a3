#pragma once

#include <sys/socket.h>

#include <chrono>
#include <cstddef>
#include <optional>
#include <sockserv/export.hpp>
#include <sockserv/log.hpp>

namespace sockserv::inline abi_0 {

/// What a server must know before it binds, and the limits that it sets. An aggregate:
///
///     TCPServer<Upper> server({"127.0.0.1", 9000}, {.request_queue_size = 128, .idle_timeout = 30s});
///
/// The limits hold under every mixin; where several processes accept, in each of them by itself. A connection that
/// exceeds a timeout is aborted: its socket is shut down, and what the handler is doing with it, and whatever it does
/// from then on, throws `limit_error`. A handler that waits for something else than its client is not interrupted; the
/// limit strikes when it turns to its client again. Timeouts do not concern datagrams, which have no connection.
///
/// A value that makes no sense makes the server's constructor throw std::invalid_argument, naming the field.
struct ServerOptions {
  /// Bind and listen in the constructor. If false, the caller calls `server_bind()` and `server_activate()`; that is
  /// how a subclass that overrides one of them has its override called.
  bool bind_and_activate = true;

  /// Bind although connections of an earlier server on the same port are still in TIME_WAIT (SO_REUSEADDR), and take
  /// over a Unix path whose socket no process has open any more. Not applied to UDP, where SO_REUSEADDR would let two
  /// servers share a port unawares.
  bool allow_reuse_address = true;

  /// Let several sockets of this user bind one port and share what arrives (SO_REUSEPORT). IP only.
  bool allow_reuse_port = false;

  /// On an IPv6 address, serve IPv4 clients too (IPV6_V6ONLY off); their addresses are given as IPv4.
  bool dual_stack = false;

  /// How many connections the kernel may hold until they are accepted (listen(2)). Within 0 … the largest int; the
  /// kernel cuts it to net.core.somaxconn. 0 leaves room for one.
  int request_queue_size = SOMAXCONN;

  /// The longest datagram received whole, in bytes; of a longer one the rest is lost and
  /// `Datagram::truncated()` is true. Within 1 … 64 MiB, since Linux has no longer datagram; the
  /// default is more than UDP can carry.
  std::size_t max_packet_size = 65535;

  /// The most connections (or datagrams) that are served at a time, besides the limits that a mixin has. At the limit
  /// nothing is accepted, and the backlog holds what comes. 0: no limit.
  std::size_t max_connections = 0;

  /// The most connections from one IP address at a time. One more is accepted and closed at once, after
  /// `BaseServer::request_rejected()`. An IPv4 address mapped into IPv6 counts as IPv4; a client that has many IPv6
  /// addresses has the limit for each. 0: no limit.
  std::size_t max_connections_per_address = 0;

  /// How long a client may neither send what the handler waits for nor take what it is sent. Must be positive; no
  /// value: indefinitely.
  std::optional<std::chrono::steady_clock::duration> idle_timeout = {};

  /// How long a connection may last, from being accepted, whatever its client does: from then on nothing can be
  /// received or sent. Must be positive; no value: indefinitely.
  std::optional<std::chrono::steady_clock::duration> request_timeout = {};

  /// How long `BaseServer::prepare_request()` may wait for the client, all waits together, from the first one: for a
  /// handshake, say. And how long a client is awaited before that, if a layer asks for it
  /// (`BaseServer::begin_preparation()`). Must be positive; no value: indefinitely.
  std::optional<std::chrono::steady_clock::duration> prepare_timeout = std::chrono::seconds(10);

  /// How long a client that is new may take to begin its first request when the server drains, or when a pre-forked
  /// worker is replaced; counted from when the handler waits for it in `StreamRequestHandler::wait_for_next_request()`.
  /// From then on, and once it has been served, the connection is idle, and ends. Zero: it is idle from the beginning,
  /// so a worker that is replaced ends the connection that it accepted last.
  std::chrono::steady_clock::duration first_request_grace = std::chrono::seconds(1);

  /// How fast an item must arrive that a handler waits for and that has begun to: a line, say, or the bytes that
  /// `read(n)` or `recv_exactly` wants. On average since the item's first byte, in bytes per second, after a second's
  /// grace. Clients that wait between items are not concerned. What arrives in pieces is one item where the handler
  /// reads it under an `InputFile::OneItem`. 0: no limit.
  std::size_t min_receive_rate = 0;

  /// How long a connection may linger. If its handler returns while bytes from the client are unread, the server ends
  /// the sending direction and discards what arrives until the client closes too, so that the client gets the whole
  /// answer: closing at once would reset the connection and destroy what is still on its way. A client that neither
  /// sends nor takes anything for two seconds is closed earlier. A lingering connection needs no thread and no fiber,
  /// but counts for the limits; under `ForkingMixIn`, the child waits for it. Bytes that arrive after an ordinary close
  /// still reset the connection. Must be positive; no value: none lingers.
  std::optional<std::chrono::steady_clock::duration> linger_timeout = std::chrono::seconds(30);
  /// How much is discarded of what one lingering client sends, in bytes. A client that sends more is closed.
  std::size_t linger_limit = std::size_t{64} << 20;

  /// Where messages go. Must not be empty.
  LogSink log = log_to_stderr;
};

namespace detail {
/// @throws std::invalid_argument that names the field whose value makes no sense.
SOCKSERV_EXPORT void validate(const ServerOptions& options);
}  // namespace detail

}  // namespace sockserv::inline abi_0
