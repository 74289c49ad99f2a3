#include <sockserv/detail/waiting.hpp>

#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <cerrno>
#include <sockserv/address.hpp>

namespace sockserv::detail {
namespace {

/// Calls the system until no signal interrupts it; a call that gave up waiting has hit its time limit.
template <class Call>
std::size_t retry(Call&& call, error_code& error) noexcept {
  for (;;) {
    const ssize_t result = call();
    if (result >= 0) [[likely]] {
      error.clear();
      return static_cast<std::size_t>(result);
    }
    if (errno == EINTR) continue;
    error = (errno == EAGAIN || errno == EWOULDBLOCK) ? make_error_code(errc::timed_out) : last_system_error();
    return 0;
  }
}

msghdr message_of(std::span<const iovec> buffers) noexcept {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(buffers.data());
  message.msg_iovlen = buffers.size();
  return message;
}

class Blocking final : public Waiting {
 public:
  std::size_t receive(int descriptor, std::span<const iovec> buffers, error_code& error) noexcept override {
    if (buffers.size() == 1) {
      return retry([&] { return ::recv(descriptor, buffers[0].iov_base, buffers[0].iov_len, 0); }, error);
    }
    msghdr message = message_of(buffers);
    return retry([&] { return ::recvmsg(descriptor, &message, 0); }, error);
  }

  std::size_t send(int descriptor, std::span<const iovec> buffers, error_code& error) noexcept override {
    if (buffers.size() == 1) {
      return retry([&] { return ::send(descriptor, buffers[0].iov_base, buffers[0].iov_len, MSG_NOSIGNAL); }, error);
    }
    const msghdr message = message_of(buffers);
    return retry([&] { return ::sendmsg(descriptor, &message, MSG_NOSIGNAL); }, error);
  }

  void send_to(int descriptor, std::string_view packet, const Address& address, error_code& error) noexcept override {
    retry(
        [&] {
          return ::sendto(descriptor, packet.data(), packet.size(), MSG_NOSIGNAL, address.data(), address.size());
        },
        error);
  }

  void set_timeout(int descriptor, std::optional<duration> limit, error_code& error) noexcept override {
    // A zero timeval means no limit, so a limit below a microsecond becomes one microsecond.
    const auto microseconds =
        limit ? std::max<std::int64_t>(1, std::chrono::ceil<std::chrono::microseconds>(*limit).count()) : 0;
    timeval value{};
    value.tv_sec = microseconds / 1'000'000;
    value.tv_usec = microseconds % 1'000'000;
    error.clear();
    for (const int option : {SO_RCVTIMEO, SO_SNDTIMEO}) {
      if (::setsockopt(descriptor, SOL_SOCKET, option, &value, sizeof value) != 0) error = last_system_error();
    }
  }
};

}  // namespace

std::size_t Waiting::receive_more(int descriptor, InputBuffer& buffer, error_code& error) {
  const std::span<char> room = buffer.room();
  const iovec target{room.data(), room.size()};
  const std::size_t count = receive(descriptor, {&target, 1}, error);
  buffer.commit(count);
  return count;
}

Waiting& blocking() noexcept {
  static Blocking strategy;
  return strategy;
}

}  // namespace sockserv::detail
