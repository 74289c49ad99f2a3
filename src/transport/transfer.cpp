#include "transfer.hpp"

#include <sys/ioctl.h>
#include <sys/sendfile.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>

#include "../base/without_sigpipe.hpp"

namespace sockserv::inline abi_0::detail {
namespace {

void set_blocking(int descriptor, bool on) noexcept {
  int nonblocking = on ? 0 : 1;
  ::ioctl(descriptor, FIONBIO, &nonblocking);
}

/// Puts `value` into the room that the message has for control data.
template <class Value>
void set_control(msghdr& message, int level, int type, const Value& value) noexcept {
  message.msg_controllen = CMSG_SPACE(sizeof value);
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_len = CMSG_LEN(sizeof value);
  header->cmsg_level = level;
  header->cmsg_type = type;
  std::memcpy(CMSG_DATA(header), &value, sizeof value);
}

}  // namespace

ssize_t send_packet_from(const Host& source, int descriptor, std::string_view packet, const Address& address,
                         int flags) noexcept {
  const iovec content{const_cast<char*>(packet.data()), packet.size()};
  msghdr message = message_of({&content, 1});
  message.msg_name = const_cast<sockaddr*>(address.data());
  message.msg_namelen = address.size();
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(in6_pktinfo))> control{};
  message.msg_control = control.data();
  if (address.family() == AF_INET6) {
    set_control(message, IPPROTO_IPV6, IPV6_PKTINFO, in6_pktinfo{source.address, source.interface});
  } else if (source.is_ipv4()) {
    set_control(message, IPPROTO_IP, IP_PKTINFO, in_pktinfo{0, source.ipv4(), {}});
  } else {
    errno = EINVAL;
    return -1;
  }
  return send(descriptor, message, flags);
}

void send_packet_later(Scheduler& scheduler, int descriptor, std::string_view packet, const Address& address,
                       const Host& source, error_code& error) noexcept {
  using std::chrono::milliseconds;
  constexpr std::chrono::seconds longest_wait(5);
  const time_point end = scheduler.now() + longest_wait;
  error = errc::timed_out;
  for (milliseconds pause(1); error == errc::timed_out; pause = std::min(2 * pause, milliseconds(50))) {
    if (scheduler.now() >= end || !scheduler.sleep_until(scheduler.now() + pause, nullptr)) return;
    retry([&] { return send_packet(descriptor, packet, address, source, MSG_DONTWAIT); }, error);
  }
}

ssize_t send_from_file(int descriptor, int file, std::uint64_t offset, std::size_t count, bool may_wait) noexcept {
  constexpr std::size_t most = 0x7ffff000;  // that it sends in one call
  const WithoutSigpipe without_sigpipe;
  auto position = static_cast<off_t>(offset);
  if (!may_wait) set_blocking(descriptor, false);
  const ssize_t sent = ::sendfile(descriptor, file, &position, std::min(count, most));
  const int error = errno;
  if (!may_wait) set_blocking(descriptor, true);
  if (sent < 0 && error == EPIPE) without_sigpipe.drop();
  errno = error;
  return sent;
}

}  // namespace sockserv::inline abi_0::detail
