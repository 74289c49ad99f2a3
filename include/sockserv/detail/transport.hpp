#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <sockserv/detail/input_buffer.hpp>
#include <sockserv/error.hpp>
#include <span>
#include <string_view>

namespace sockserv {
class Address;
}
namespace boost::asio {
class io_context;
}

namespace sockserv::detail {

struct Host;
class LiveRequest;
class LiveRequests;

/// How long each receive and each send of a connection may wait; no value: indefinitely.
struct Timeouts {
  using duration = std::chrono::steady_clock::duration;

  std::optional<duration> receive = {};
  std::optional<duration> send = {};

  /// Sets one of the two or both: `how` is `SHUT_RD`, `SHUT_WR` or `SHUT_RDWR`, as for shutdown(2).
  void set(std::optional<duration> limit, int how) noexcept {
    if (how != SHUT_WR) receive = limit;
    if (how != SHUT_RD) send = limit;
  }
};

/// How bytes move between a request and its peer, and how the caller waits for them: the one seam between what handlers
/// do and who runs them.
///
/// Every operation of a request that may have to wait goes through its `Transport`. A plain thread blocks in the
/// kernel; a fiber parks; `testing::converse` answers from memory; nothing above this interface can tell which. What is
/// not abstract here does what a plain thread would.
///
/// All operations retry when a signal interrupts them, never raise SIGPIPE, and report a timeout or deadline that
/// has passed as `errc::timed_out`.
class Transport {
 public:
  using duration = std::chrono::steady_clock::duration;
  using time_point = std::chrono::steady_clock::time_point;

  /// For operations that may wait indefinitely, or as long as `set_timeout` says.
  static constexpr time_point no_deadline = time_point::max();

  /// Waits for bytes and moves them into the buffers. 0 without an error: the peer sends no more.
  virtual std::size_t receive(int descriptor, std::span<const iovec> buffers, time_point deadline,
                              error_code& error) noexcept = 0;

  /// Appends the next bytes to `buffer`, and waits for them first. Transports may lend `buffer` its memory, which
  /// is why this is an operation of its own. 0 without an error: the peer sends no more. `idle`, if not null, is marked
  /// as idle as long as nothing has come.
  virtual std::size_t receive_more(int descriptor, InputBuffer& buffer, LiveRequest* idle, time_point deadline,
                                   error_code& error);

  /// Waits until some bytes can be sent; returns how many were.
  virtual std::size_t send(int descriptor, std::span<const iovec> buffers, time_point deadline,
                           error_code& error) noexcept = 0;

  /// The same, but returns 0 without an error if there is no room yet and something to receive (or the end of it). By
  /// way of `send()`, for peers that never wait for the program to receive.
  virtual std::size_t send_unless_input(int descriptor, std::span<const iovec> buffers, time_point deadline,
                                        error_code& error) noexcept {
    return send(descriptor, buffers, deadline, error);
  }

  /// Sends some of the next `count` bytes that `file` has at `offset`, and waits until that is possible; returns how
  /// many were sent. 0 without an error: the file has none there. By way of a buffer, through `send()`; transports that
  /// have a socket leave the bytes in the kernel.
  virtual std::size_t send_file(int descriptor, int file, std::uint64_t offset, std::size_t count, time_point deadline,
                                error_code& error) noexcept;

  /// Sends one datagram, from that source if one is given.
  virtual void send_to(int descriptor, std::string_view packet, const Address& address, const Host& source,
                       error_code& error) noexcept = 0;

  /// Limits how long each receive, each send or either (`how`, as in `Timeouts::set`) without a deadline may wait; no
  /// value: indefinitely.
  virtual void set_timeout(int descriptor, std::optional<duration> limit, int how, error_code& error) noexcept = 0;

  /// @name Other sockets than the request's
  /// Which a handler has for itself: a connection to another server, say.
  /// @{

  /// `receive()` and `send()` for another connection.
  virtual std::size_t receive_elsewhere(int descriptor, std::span<const iovec> buffers, time_point deadline,
                                        error_code& error) noexcept;
  virtual std::size_t send_elsewhere(int descriptor, std::span<const iovec> buffers, time_point deadline,
                                     error_code& error) noexcept;

  /// Waits until a descriptor is ready for one of `events`: POLLIN, POLLOUT of poll(2), or both. It may return sooner,
  /// so the caller tries again what it waits for.
  virtual void wait_until_ready(int descriptor, short events, time_point deadline, error_code& error) noexcept;
  /// @}

  /// Waits until then; false if the request's server aborts its requests before (`live` are that server's).
  virtual bool sleep_until(time_point time, LiveRequests& live);

  /// Does work that blocks or takes long, where it holds nobody up, and waits for its end. It must not throw.
  virtual void run_elsewhere(const std::function<void()>& work);

  /// @name Waiting for an asynchronous operation
  /// @{

  /// Where the operations of this request's handler run.
  virtual boost::asio::io_context& context();

  enum class Outcome { done, timed_out, aborted };
  /// Waits until something that runs in `context()` has set `done` and called `wake()`; or until the request's server
  /// aborts its requests, if `live` are that server's and not null.
  virtual Outcome wait_for(const bool& done, time_point deadline, LiveRequests* live);
  virtual void wake() {}
  /// @}

 protected:
  ~Transport() = default;
};

/// The transport of a plain thread, which blocks in the kernel, one system call an operation.
Transport& blocking() noexcept;

}  // namespace sockserv::detail
