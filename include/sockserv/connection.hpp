#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <sockserv/address.hpp>
#include <sockserv/awaited_input.hpp>
#include <sockserv/detail/admission.hpp>
#include <sockserv/detail/client_limits.hpp>
#include <sockserv/detail/descriptor.hpp>
#include <sockserv/detail/live_requests.hpp>
#include <sockserv/detail/transport.hpp>
#include <sockserv/detail/transport_wrapper.hpp>
#include <sockserv/error.hpp>
#include <sockserv/export.hpp>
#include <sockserv/fwd.hpp>
#include <span>
#include <string>
#include <string_view>

namespace sockserv::inline abi_0 {

namespace detail {
class AwaitedClient;
class Lingering;

/// Asio's requirement of that name.
template <class Type>
concept ConstBufferSequence = boost::asio::is_const_buffer_sequence<Type>::value;
}  // namespace detail

/// Who is at the other end of a Unix socket, as the kernel saw it when the connection was made (unix(7),
/// SO_PEERCRED).
struct PeerCredentials {
  pid_t process;
  uid_t user;
  gid_t group;
};

/// A connected stream socket: what a handler of TCPServer or UnixStreamServer serves.
///
/// Python's socket methods under their names; it also models Asio's `SyncReadStream` and `SyncWriteStream`, so that
/// `asio::read_until`, Boost.Beast's parsers and the like work on it as they are. How an operation waits depends on
/// the mixin that runs the handler; its meaning does not. No operation raises SIGPIPE.
///
/// Each operation has two forms: one throws `boost::system::system_error` (`timeout_error` when a timeout
/// passed), the other sets an `error_code`. After `close()` they report `EBADF`; after the server has cut the
/// connection off for passing a limit of `ServerOptions`, that limit (`limit_error`).
///
/// @par Thread safety
/// Distinct objects: safe. Shared objects: unsafe, except that one thread may receive while another sends, and that
/// `shutdown()` may be called at any time by any thread.
///
/// @par Lifetime
/// Owned by the server for as long as the handler runs, then closed. The object must not be kept.
class SOCKSERV_EXPORT Connection {
 public:
  using duration = std::chrono::steady_clock::duration;

  /// Owns a connected socket. `peer` is what accept() or connect() knew; `getpeername()` gives it back.
  Connection(detail::Descriptor socket, const Address& peer, detail::Transport& transport = detail::blocking());
  Connection(Connection&&) noexcept = default;
  Connection& operator=(Connection&&) noexcept = default;
  ~Connection() { close(); }

  /// @name Receiving
  /// @{

  /// Waits for bytes and returns what there is, `max` at the most; empty when the peer sends no more.
  std::string recv(std::size_t max);
  /// The same into memory of the caller's; returns the count, 0 when the peer sends no more.
  std::size_t recv(boost::asio::mutable_buffer buffer);
  std::size_t recv(boost::asio::mutable_buffer buffer, error_code& error) noexcept;

  /// Fills the whole buffer. Reports `errc::end_of_stream` if the peer stops before; returns the count received.
  std::size_t recv_exactly(boost::asio::mutable_buffer buffer);
  std::size_t recv_exactly(boost::asio::mutable_buffer buffer, error_code& error) noexcept;
  /// @}

  /// @name Sending
  /// @{

  /// Sends at least one byte, perhaps not all; returns how many.
  std::size_t send(boost::asio::const_buffer bytes);
  std::size_t send(boost::asio::const_buffer bytes, error_code& error) noexcept;

  /// The same, for peers that may send all they have before they receive: waits for room no longer than until there is
  /// something to receive. Then it returns 0 without an error, and the next receive does not wait.
  ///
  ///     while (!answers.empty()) {
  ///       const std::size_t sent = request.send_unless_input(boost::asio::buffer(answers));
  ///       if (sent == 0) break;  // read on
  ///       answers.erase(0, sent);
  ///     }
  ///
  /// What `rfile` has already received does not count as something to receive. A handler limits the answers that it
  /// collects in this way, for instance by `send()` with a timeout.
  template <detail::ConstBufferSequence Buffers>
  std::size_t send_unless_input(const Buffers& buffers, error_code& error) noexcept {
    error.clear();
    std::size_t count = 0;
    for_chunks(buffers, [&](std::span<const iovec> chunk) {
      count = send_some_unless_input(chunk, error);
      return false;
    });
    return count;
  }
  template <detail::ConstBufferSequence Buffers>
  std::size_t send_unless_input(const Buffers& buffers) {
    error_code error;
    const std::size_t sent = send_unless_input(buffers, error);
    detail::check(error, "send_unless_input");
    return sent;
  }

  /// Sends everything; returns how many bytes that were (on an error: how many had been sent before it).
  std::size_t sendall(std::string_view bytes);
  std::size_t sendall(std::string_view bytes, error_code& error) noexcept;

  /// Sends a sequence of buffers, gathered into one system call for every 16 buffers.
  template <detail::ConstBufferSequence Buffers>
  std::size_t sendall(const Buffers& buffers, error_code& error) noexcept {
    error.clear();
    std::size_t sent = 0;
    for_chunks(buffers, [&](std::span<iovec> chunk) {
      sent += send_chunk(chunk, error);
      return !error;
    });
    return sent;
  }
  template <detail::ConstBufferSequence Buffers>
  std::size_t sendall(const Buffers& buffers) {
    error_code error;
    const std::size_t sent = sendall(buffers, error);
    detail::check(error, "sendall");
    return sent;
  }

  /// Sends a file from `offset` on: `count` bytes, or without a count all that are left. Returns how many were sent (on
  /// an error: before it); fewer than `count` only if the file ends before. As Python's `socket.sendfile`, by
  /// sendfile(2), so that the bytes need no memory of the program's; a file that cannot be sent that way is read and
  /// sent.
  ///
  /// `file` is a descriptor that can be read at any offset; its own position is neither used nor moved. If the file
  /// changes meanwhile, what was sent is partly old and partly new. What has been written to a `wfile` with a buffer is
  /// to be flushed before. On a fiber, waiting for the client holds up no other; reading from a slow disk does.
  /// @{
  std::size_t sendfile(int file, std::uint64_t offset = 0, std::optional<std::size_t> count = std::nullopt);
  std::size_t sendfile(int file, std::uint64_t offset, std::optional<std::size_t> count, error_code& error) noexcept;
  /// @}
  /// @}

  /// @name Asio's SyncReadStream and SyncWriteStream
  /// `read_some` reports the end of the stream as `boost::asio::error::eof`.
  /// @{
  template <class MutableBufferSequence>
  std::size_t read_some(const MutableBufferSequence& buffers, error_code& error) {
    error.clear();
    std::size_t count = 0;
    for_chunks(buffers, [&](std::span<const iovec> chunk) {
      count = receive_some(chunk, 0, error);
      if (count == 0 && !error) error = boost::asio::error::eof;
      return false;
    });
    return count;
  }
  template <class MutableBufferSequence>
  std::size_t read_some(const MutableBufferSequence& buffers) {
    error_code error;
    const std::size_t count = read_some(buffers, error);
    detail::check(error, "read_some");
    return count;
  }
  template <class ConstBufferSequence>
  std::size_t write_some(const ConstBufferSequence& buffers, error_code& error) {
    error.clear();
    std::size_t count = 0;
    for_chunks(buffers, [&](std::span<const iovec> chunk) {
      count = send_some(chunk, error);
      return false;
    });
    return count;
  }
  template <class ConstBufferSequence>
  std::size_t write_some(const ConstBufferSequence& buffers) {
    error_code error;
    const std::size_t count = write_some(buffers, error);
    detail::check(error, "write_some");
    return count;
  }
  /// @}

  /// Limits how long each receive or send may wait; no value (the default): indefinitely. The limit is per system call:
  /// a peer that sends a byte at a time is never over it. (`ServerOptions` has limits for such a peer.) `how` says what
  /// is limited: `SHUT_RDWR` both (the default), `SHUT_RD` receives, `SHUT_WR` sends.
  /// @throws std::invalid_argument unless the limit is positive.
  /// @{
  void settimeout(std::optional<duration> limit, int how = SHUT_RDWR);
  void settimeout(std::optional<duration> limit, error_code& error) { settimeout(limit, SHUT_RDWR, error); }
  void settimeout(std::optional<duration> limit, int how, error_code& error);
  /// @}
  /// The limit of receives (`SHUT_RD`), or of sends (`SHUT_WR`).
  std::optional<duration> gettimeout(int how = SHUT_RD) const noexcept {
    return (how == SHUT_WR ? timeouts_.send : timeouts_.receive).timeout();
  }

  /// Sends small writes at once instead of waiting for more (TCP_NODELAY); nothing on a Unix socket.
  void set_no_delay(bool on);
  void set_no_delay(bool on, error_code& error) noexcept;

  /// Ends one or both directions: `SHUT_RD`, `SHUT_WR` or `SHUT_RDWR` (shutdown(2)). Wakes those that wait on them.
  void shutdown(int how);
  void shutdown(int how, error_code& error) noexcept;

  /// Closes the socket; nothing if it is closed already.
  void close() noexcept;

  /// The socket's descriptor, -1 once closed. Not to be closed by the caller.
  int fileno() const noexcept { return socket_.get(); }

  /// The peer's address, as it was when the connection was accepted (it is known even if the peer has gone since).
  const Address& getpeername() const noexcept { return peer_; }
  /// This end's address.
  Address getsockname() const;
  Address getsockname(error_code& error) const noexcept;

  /// Who the peer is. Unix sockets only; others report `EOPNOTSUPP`.
  PeerCredentials peer_credentials() const;
  PeerCredentials peer_credentials(error_code& error) const noexcept;

 private:
  friend class ClientConnection;
  friend class InputFile;
  friend class detail::AwaitedClient;
  friend class detail::Lingering;
  friend class StreamRequestHandler;
  friend void detail::wrap(Connection& connection, std::unique_ptr<detail::TransportWrapper> wrapper) noexcept;
  template <class Handler>
  friend class BaseServer;

  /// Hands the sequence to `action` in pieces of up to 16 buffers, as the system calls want them, until it says no.
  template <class BufferSequence, class Action>
  static void for_chunks(const BufferSequence& buffers, Action&& action) {
    std::array<iovec, 16> chunk;
    std::size_t count = 0;
    const auto last = boost::asio::buffer_sequence_end(buffers);
    for (auto each = boost::asio::buffer_sequence_begin(buffers); each != last; ++each) {
      const boost::asio::const_buffer buffer(*each);
      if (buffer.size() == 0) continue;
      chunk[count++] = {const_cast<void*>(buffer.data()), buffer.size()};
      if (count == chunk.size()) {
        if (!action(std::span<iovec>(chunk))) return;
        count = 0;
      }
    }
    if (count > 0) action(std::span<iovec>(chunk.data(), count));
  }

  /// For as long as it lives, the layers before the handler have the connection, within their timeout.
  class PreparationLimits {
   public:
    PreparationLimits(Connection& connection, const ServerOptions& options) noexcept : limits_(connection.limits_) {
      limits_.begin_preparation(options);
    }
    PreparationLimits(const PreparationLimits&) = delete;
    PreparationLimits& operator=(const PreparationLimits&) = delete;
    ~PreparationLimits() { limits_.end_preparation(); }

   private:
    detail::ClientLimits& limits_;
  };

  void await_input(std::unique_ptr<AwaitedInput> input, const ServerOptions& options) noexcept {
    awaited_input_ = std::move(input);
    limits_.begin_preparation(options);
  }

  void replace_client_address(const Address&, const Address& address) {
    client_address_ = std::make_unique<const Address>(address);
  }

  /// Has the server keep account of this request until it is closed, and sets its limits.
  void enter(detail::LiveRequests& all, detail::Counters& counters, const ServerOptions& options);
  /// For a connection that a handler has made: it is shut down when the server aborts its requests.
  void enter_uncounted(detail::LiveRequests& all) { live_.enter_uncounted(all, fileno()); }
  /// Has the bytes move by this transport from now on, or where the connection's is wrapped, those of the wrapper.
  void use_transport(detail::Transport& transport) noexcept;

  // All that waits comes down to these five. `item`: how much there is already of what is waited for; see
  // ClientLimits.
  std::size_t receive_some(std::span<const iovec> buffers, std::size_t item, error_code& error) noexcept;
  std::size_t receive_more(detail::InputBuffer& buffer, std::size_t item, detail::WaitsFor awaited, error_code& error);
  std::size_t receive_first(detail::InputBuffer& buffer, error_code& error);
  void note_end() noexcept;
  std::size_t send_some(std::span<const iovec> buffers, error_code& error) noexcept;
  std::size_t send_some_unless_input(std::span<const iovec> buffers, error_code& error) noexcept;
  std::size_t send_some_of_file(int file, std::uint64_t offset, std::size_t count, error_code& error) noexcept;

  std::size_t send_chunk(std::span<iovec> chunk, error_code& error) noexcept;
  template <class Operation>
  std::size_t within_limits(std::optional<std::size_t> item, const Operation& operation, error_code& error);
  void abort(errc limit, error_code& error) noexcept;

  detail::LiveRequest live_;  // before the socket, so that an assignment makes it leave before the descriptor is closed
  detail::Admission admission_;
  detail::ClientLimits limits_;
  detail::Descriptor socket_;
  bool is_prepared_ = false;  // by the layers
  bool has_ended_ = false;    // the end of what the client sends was read
  bool left_unread_ = false;  // the handler returned with unread bytes in rfile
  bool may_linger_ = true;
  detail::Transport* transport_;
  std::unique_ptr<detail::TransportWrapper> wrapper_;  // null, or what `transport_` points to
  detail::Timeouts timeouts_;
  Address peer_;
  std::unique_ptr<const Address> client_address_;  // null, or that which a layer gave the request
  std::unique_ptr<AwaitedInput> awaited_input_;    // null, or what a layer began
};

}  // namespace sockserv::inline abi_0
