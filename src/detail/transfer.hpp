#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>
#include <span>

namespace sockserv::detail {

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
  if (buffers.size() == 1) return ::recv(descriptor, buffers[0].iov_base, buffers[0].iov_len, flags);
  msghdr message = message_of(buffers);
  return ::recvmsg(descriptor, &message, flags);
}

/// One attempt to send from the buffers, in the same way. Never raises SIGPIPE.
inline ssize_t send_from(int descriptor, std::span<const iovec> buffers, int flags) noexcept {
  flags |= MSG_NOSIGNAL;
  if (buffers.size() == 1) return ::send(descriptor, buffers[0].iov_base, buffers[0].iov_len, flags);
  const msghdr message = message_of(buffers);
  return ::sendmsg(descriptor, &message, flags);
}

/// True if the call that has just failed would have had to wait, and was not to, or for no longer.
inline bool would_block() noexcept { return errno == EAGAIN || errno == EWOULDBLOCK; }

}  // namespace sockserv::detail
