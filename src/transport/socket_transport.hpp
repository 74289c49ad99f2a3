#pragma once

#include <poll.h>
#include <sys/time.h>

#include <algorithm>
#include <boost/asio/error.hpp>
#include <cstdint>
#include <sockserv/detail/transport.hpp>

#include "transfer.hpp"

namespace sockserv::inline abi_0::detail {

/// Moves the bytes of a socket in blocking mode. Where the caller may block, the kernel waits, in one system call an
/// operation. Otherwise, and until a deadline, an operation is tried, and a scheduler waits until it is worth trying
/// again.
///
/// `Callers::scheduler()` returns the scheduler of the caller.
template <class Callers>
class SocketTransport final : public Transport {
 public:
  std::size_t receive(int descriptor, std::span<const iovec> buffers, WaitLimit limit,
                      error_code& error) noexcept override {
    auto& scheduler = Callers::scheduler();
    if (scheduler.may_block() && !limit.is_deadline()) [[likely]]
      return retry([&] { return receive_into(descriptor, buffers, 0); }, error);
    return receive_until(limit, scheduler, descriptor, buffers, error);
  }

  /// As the base class does, but it is known here which `receive` to call.
  std::size_t receive_more(int descriptor, InputBuffer& buffer, LiveRequest* idle, WaitLimit limit,
                           error_code& error) override {
    if (idle) return Transport::receive_more(descriptor, buffer, idle, limit, error);
    const std::span<char> room = buffer.room();
    const iovec target{room.data(), room.size()};
    const std::size_t count = receive(descriptor, {&target, 1}, limit, error);
    buffer.commit(count);
    return count;
  }

  std::size_t send(int descriptor, std::span<const iovec> buffers, WaitLimit limit,
                   error_code& error) noexcept override {
    auto& scheduler = Callers::scheduler();
    if (scheduler.may_block() && !limit.is_deadline()) [[likely]]
      return retry([&] { return send_from(descriptor, buffers, 0); }, error);
    return send_until(limit, scheduler, descriptor, buffers, error);
  }

  std::size_t send_file(int descriptor, int file, std::uint64_t offset, std::size_t count, WaitLimit limit,
                        error_code& error) noexcept override {
    auto& scheduler = Callers::scheduler();
    // While sendfile(2) must not wait, neither would another thread that receives from the same connection.
    if (!scheduler.may_block()) return Transport::send_file(descriptor, file, offset, count, limit, error);
    const bool may_wait = !limit.is_deadline();
    const auto attempt = [&] { return send_from_file(descriptor, file, offset, count, may_wait); };
    const std::size_t sent =
        may_wait ? retry(attempt, error) : retry_until(limit, scheduler, descriptor, POLLOUT, attempt, error);
    return error == boost::asio::error::invalid_argument
               ? Transport::send_file(descriptor, file, offset, count, limit, error)
               : sent;
  }

  void send_to(int descriptor, std::string_view packet, const Address& address, const Host& source,
               error_code& error) noexcept override {
    auto& scheduler = Callers::scheduler();
    if (!scheduler.may_block()) return send_packet_patiently(scheduler, descriptor, packet, address, source, error);
    retry([&] { return send_packet(descriptor, packet, address, source, 0); }, error);
  }

  void wait_until_ready(int descriptor, short events, WaitLimit limit, error_code& error) noexcept override {
    Callers::scheduler().wait_for_descriptor(descriptor, events, limit.deadline(), error);
  }

  /// The kernel's timeouts hold for those who block. They are a copy of the connection's.
  void timeouts_changed(int descriptor, const Timeouts& timeouts, error_code& error) noexcept override {
    error.clear();
    set(descriptor, SO_RCVTIMEO, timeouts.receive, error);
    set(descriptor, SO_SNDTIMEO, timeouts.send, error);
  }

 private:
  static void set(int descriptor, int option, WaitLimit limit, error_code& error) noexcept {
    // A zero timeval means no limit, so a timeout below a microsecond becomes one microsecond.
    const auto timeout = limit.timeout();
    const auto microseconds =
        timeout ? std::max<std::int64_t>(1, std::chrono::ceil<std::chrono::microseconds>(*timeout).count()) : 0;
    timeval value{};
    value.tv_sec = microseconds / 1'000'000;
    value.tv_usec = microseconds % 1'000'000;
    if (::setsockopt(descriptor, SOL_SOCKET, option, &value, sizeof value) != 0) error = last_system_error();
  }
};

}  // namespace sockserv::inline abi_0::detail
