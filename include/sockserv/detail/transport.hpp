#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <sockserv/detail/input_buffer.hpp>
#include <sockserv/detail/wait_limit.hpp>
#include <sockserv/error.hpp>
#include <sockserv/export.hpp>
#include <span>
#include <string_view>

namespace sockserv::inline abi_0 {
class Address;
}

namespace sockserv::inline abi_0::detail {

struct Host;
class LiveRequest;

/// How long each receive and each send of a connection may wait. The connection keeps them, and passes the one that
/// applies to its transport with each operation.
struct Timeouts {
  WaitLimit receive = {};
  WaitLimit send = {};

  /// Sets one of the two or both: `how` is `SHUT_RD`, `SHUT_WR` or `SHUT_RDWR`, as for shutdown(2).
  void set(std::optional<WaitLimit::duration> timeout, int how) noexcept {
    if (how != SHUT_WR) receive = WaitLimit(timeout);
    if (how != SHUT_RD) send = WaitLimit(timeout);
  }

  bool operator==(const Timeouts&) const noexcept = default;
};

/// How bytes move between a request and its peer, and how the caller waits for them: the one seam between what handlers
/// do and who runs them.
///
/// A plain thread blocks in the kernel; a fiber parks; `testing::converse` answers from memory; a `TransportWrapper`
/// changes the bytes on their way. Nothing above this interface can tell which.
///
/// All operations retry when a signal interrupts them, never raise SIGPIPE, and report `errc::timed_out` when they have
/// waited as long as they may.
class SOCKSERV_EXPORT Transport {
 public:
  /// Waits for bytes and moves them into the buffers. 0 without an error: the peer sends no more.
  virtual std::size_t receive(int descriptor, std::span<const iovec> buffers, WaitLimit limit,
                              error_code& error) noexcept = 0;

  /// Appends the next bytes to `buffer`, and waits for them first. Transports may lend `buffer` its memory, which is
  /// why this is an operation of its own. 0 without an error: the peer sends no more. `idle`, if not null, is marked as
  /// idle as long as nothing has come.
  virtual std::size_t receive_more(int descriptor, InputBuffer& buffer, LiveRequest* idle, WaitLimit limit,
                                   error_code& error);

  /// Waits until some bytes can be sent; returns how many were.
  virtual std::size_t send(int descriptor, std::span<const iovec> buffers, WaitLimit limit,
                           error_code& error) noexcept = 0;

  /// The same, but returns 0 without an error if there is no room yet and something to receive (or the end of it).
  std::size_t send_unless_input(int descriptor, std::span<const iovec> buffers, WaitLimit limit,
                                error_code& error) noexcept;

  /// Sends some of the next `count` bytes that `file` has at `offset`, and waits until that is possible; returns how
  /// many were sent. 0 without an error: the file has none there. By way of a buffer, through `send()`; transports
  /// whose bytes are those of the socket leave them in the kernel.
  virtual std::size_t send_file(int descriptor, int file, std::uint64_t offset, std::size_t count, WaitLimit limit,
                                error_code& error) noexcept;

  /// Sends one datagram, from that source if one is given.
  virtual void send_to(int descriptor, std::string_view packet, const Address& address, const Host& source,
                       error_code& error) noexcept = 0;

  /// Waits until there is something to receive (POLLIN), room to send (POLLOUT), or either.
  virtual void wait_until_ready(int descriptor, short events, WaitLimit limit, error_code& error) noexcept = 0;

  /// Returns true if the transport holds bytes to be received which the socket no longer shows.
  virtual bool has_buffered() const noexcept { return false; }

  /// Returns true if there is something to receive (or the end of it), so that receiving need not wait.
  virtual bool has_input(int descriptor) noexcept;

  /// Tells the transport that its connection uses the descriptor without it from now on.
  virtual void release(int /*descriptor*/) noexcept {}

  /// Tells the transport which timeouts its connection has from now on. One that blocks in the kernel has the kernel
  /// know them too: an operation without a deadline is then still one system call.
  virtual void timeouts_changed(int descriptor, const Timeouts& timeouts, error_code& error) noexcept;

 protected:
  ~Transport() = default;
};

/// Returns the transport of plain threads, which blocks in the kernel: one system call an operation.
SOCKSERV_EXPORT Transport& blocking() noexcept;

}  // namespace sockserv::inline abi_0::detail
