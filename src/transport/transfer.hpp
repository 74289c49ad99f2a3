#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <sockserv/address.hpp>
#include <sockserv/detail/packet_info.hpp>
#include <sockserv/detail/scheduler.hpp>
#include <sockserv/detail/wait_limit.hpp>
#include <sockserv/error.hpp>
#include <span>
#include <string_view>

#include "../base/sanitized.hpp"
#include "../base/would_block.hpp"

namespace sockserv::inline abi_0::detail {

/// recv(2), sendto(2) and sendmsg(2) of the kernel. The C library's are points where POSIX lets a thread be cancelled,
/// which costs two locked instructions each in a program with threads, some 2 % of a short request; and here nobody
/// cancels threads. Sanitizers know the library's functions only.
#if defined(SOCKSERV_ASAN) || defined(SOCKSERV_TSAN)
inline ssize_t receive(int descriptor, void* bytes, std::size_t size, int flags) noexcept {
  return ::recv(descriptor, bytes, size, flags);
}
inline ssize_t send(int descriptor, const void* bytes, std::size_t size, int flags, const sockaddr* address,
                    socklen_t address_size) noexcept {
  return ::sendto(descriptor, bytes, size, flags, address, address_size);
}
inline ssize_t send(int descriptor, const msghdr& message, int flags) noexcept {
  return ::sendmsg(descriptor, &message, flags);
}
#else
inline ssize_t receive(int descriptor, void* bytes, std::size_t size, int flags) noexcept {
  return ::syscall(SYS_recvfrom, descriptor, bytes, size, flags, nullptr, nullptr);
}
inline ssize_t send(int descriptor, const void* bytes, std::size_t size, int flags, const sockaddr* address,
                    socklen_t address_size) noexcept {
  return ::syscall(SYS_sendto, descriptor, bytes, size, flags, address, address_size);
}
inline ssize_t send(int descriptor, const msghdr& message, int flags) noexcept {
  return ::syscall(SYS_sendmsg, descriptor, &message, flags);
}
#endif

/// What recvmsg(2) and sendmsg(2) want to know; the buffers must outlive it.
inline msghdr message_of(std::span<const iovec> buffers) noexcept {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(buffers.data());
  message.msg_iovlen = buffers.size();
  return message;
}

/// One attempt to receive into the buffers, with what recv(2) returns. That takes one buffer, which costs the kernel a
/// little less than recvmsg(2) with several.
inline ssize_t receive_into(int descriptor, std::span<const iovec> buffers, int flags) noexcept {
  if (buffers.size() == 1) return receive(descriptor, buffers[0].iov_base, buffers[0].iov_len, flags);
  msghdr message = message_of(buffers);
  return ::recvmsg(descriptor, &message, flags);
}

/// One attempt to send from the buffers, in the same way. Never raises SIGPIPE.
inline ssize_t send_from(int descriptor, std::span<const iovec> buffers, int flags) noexcept {
  flags |= MSG_NOSIGNAL;
  if (buffers.size() == 1) return send(descriptor, buffers[0].iov_base, buffers[0].iov_len, flags, nullptr, 0);
  const msghdr message = message_of(buffers);
  return ::sendmsg(descriptor, &message, flags);
}

/// One attempt to send from a file, which sendfile(2) has no flags for: that it must not wait is for the moment said of
/// the socket, and SIGPIPE is kept away from the thread for as long. Where the file is of a kind that sendfile(2)
/// cannot read, errno is EINVAL.
ssize_t send_from_file(int descriptor, int file, std::uint64_t offset, std::size_t count, bool may_wait) noexcept;

/// One attempt to send a datagram from an address of this machine, or by an interface.
ssize_t send_packet_from(const Host& source, int descriptor, std::string_view packet, const Address& address,
                         int flags) noexcept;

/// One attempt to send a datagram. Never raises SIGPIPE.
inline ssize_t send_packet(int descriptor, std::string_view packet, const Address& address, const Host& source,
                           int flags) noexcept {
  flags |= MSG_NOSIGNAL;
  if (source.is_given()) return send_packet_from(source, descriptor, packet, address, flags);
  return send(descriptor, packet.data(), packet.size(), flags, address.data(), address.size());
}

/// Calls the system until no signal interrupts it; a call that gave up waiting has hit its timeout.
template <class Call>
std::size_t retry(Call&& call, error_code& error) noexcept {
  for (;;) {
    const ssize_t result = call();
    if (result >= 0) [[likely]] {
      error.clear();
      return static_cast<std::size_t>(result);
    }
    if (errno == EINTR) continue;
    error = would_block() ? make_error_code(errc::timed_out) : last_system_error();
    return 0;
  }
}

/// Calls the system without blocking, and has `scheduler` wait for `events` where it would have.
template <class Call>
std::size_t retry_until(WaitLimit limit, Scheduler& scheduler, int descriptor, short events, Call&& call,
                        error_code& error) noexcept {
  for (;;) {
    const std::size_t count = retry(call, error);
    if (!error || error != errc::timed_out || limit.is_at_once()) return count;
    scheduler.wait_for_descriptor(descriptor, events, limit.deadline(), error);
    if (error) return 0;
  }
}

/// Receives or sends in that way.
inline std::size_t receive_until(WaitLimit limit, Scheduler& scheduler, int descriptor, std::span<const iovec> buffers,
                                 error_code& error) noexcept {
  return retry_until(
      limit, scheduler, descriptor, POLLIN, [&] { return receive_into(descriptor, buffers, MSG_DONTWAIT); }, error);
}
inline std::size_t send_until(WaitLimit limit, Scheduler& scheduler, int descriptor, std::span<const iovec> buffers,
                              error_code& error) noexcept {
  return retry_until(
      limit, scheduler, descriptor, POLLOUT, [&] { return send_from(descriptor, buffers, MSG_DONTWAIT); }, error);
}

/// Sends a datagram for which there was no room. Nothing tells when its receiver has some, so it is tried now and then.
void send_packet_later(Scheduler& scheduler, int descriptor, std::string_view packet, const Address& address,
                       const Host& source, error_code& error) noexcept;

/// Sends a datagram without blocking.
inline void send_packet_patiently(Scheduler& scheduler, int descriptor, std::string_view packet, const Address& address,
                                  const Host& source, error_code& error) noexcept {
  retry([&] { return send_packet(descriptor, packet, address, source, MSG_DONTWAIT); }, error);
  if (error && error == errc::timed_out) send_packet_later(scheduler, descriptor, packet, address, source, error);
}

}  // namespace sockserv::inline abi_0::detail
