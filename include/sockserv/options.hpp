#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <functional>
#include <string_view>

namespace sockserv {

/// How serious a log message is.
enum class LogLevel { info, warning, error };

/// Takes a message without a final newline; it may have several lines. Called from whichever thread has something to
/// say, so it must be thread-safe; what it throws is dropped.
using LogSink = std::function<void(LogLevel level, std::string_view message)>;

/// Writes "sockserv: message" to standard error in one system call. Thread-safe.
void log_to_stderr(LogLevel level, std::string_view message) noexcept;

/// What a server must know before it binds. An aggregate:
///
///     TCPServer<Upper> server({"127.0.0.1", 9000}, {.request_queue_size = 128});
///
/// A value that makes no sense makes the server's constructor throw std::invalid_argument, naming the field.
struct ServerOptions {
  /// Bind and listen in the constructor. If false, the caller calls `server_bind()` and `server_activate()`; that is
  /// how a subclass that overrides one of them has its override called.
  bool bind_and_activate = true;

  /// Bind although connections of an earlier server on the same port are still in TIME_WAIT (SO_REUSEADDR), and take
  /// over a Unix path whose socket nobody serves any more. Not applied to UDP, where SO_REUSEADDR would let two
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
  /// `DatagramRequest::truncated()` is true. At least 1; the default is more than UDP can carry.
  std::size_t max_packet_size = 65535;

  /// Where messages go. Must not be empty.
  LogSink log = log_to_stderr;
};

namespace detail {
/// @throws std::invalid_argument that names the field whose value makes no sense.
void validate(const ServerOptions& options);
}  // namespace detail

}  // namespace sockserv
