#include "lingering.hpp"

#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <sockserv/detail/deadline.hpp>
#include <sockserv/detail/transport.hpp>
#include <sockserv/options.hpp>
#include <utility>

#include "../base/would_block.hpp"

namespace sockserv::inline abi_0::detail {
namespace {

/// How often in a row one connection is read from, while others wait.
constexpr int reads_at_a_time = 16;

int ask(int descriptor, unsigned long what) noexcept {
  int count = 0;
  return ::ioctl(descriptor, what, &count) == 0 ? count : 0;
}

}  // namespace

bool Lingering::begins_with(Connection& connection) noexcept {
  if (connection.has_ended_) return false;
  error_code error;
  connection.shutdown(SHUT_WR, error);
  if (error || !connection.may_linger_) return false;  // an error: it is closed, or its client has gone
  return connection.left_unread_ || connection.transport_->has_buffered() || ask(connection.fileno(), SIOCINQ) > 0;
}

Lingering::Lingering(Connection&& connection, const ServerOptions& options, time_point now)
    : connection_((connection.transport_->release(connection.fileno()), std::move(connection))),
      end_(deadline_after(options.linger_timeout.value(), now)),
      bytes_left_(options.linger_limit),
      patient_until_(deadline_after(patience, now)) {}

void Lingering::discard(std::span<char> scratch, time_point now) noexcept {
  for (int left = reads_at_a_time; left > 0; --left) {
    const ssize_t count = ::recv(fileno(), scratch.data(), scratch.size(), MSG_DONTWAIT);
    if (count < 0 && (would_block() || errno == EINTR)) return;
    const auto bytes = static_cast<std::size_t>(count);
    has_ended_ = count <= 0 || bytes > bytes_left_;
    if (has_ended_) return;
    bytes_left_ -= bytes;
    connection_.live_.received(bytes);
    patient_until_ = deadline_after(patience, now);
  }
}

Lingering::time_point Lingering::deadline() const noexcept { return std::min(end_, patient_until_); }

bool Lingering::is_over(time_point now) noexcept {
  if (has_ended_) return true;
  if (now < deadline()) return false;
  // A client that reads slowly takes what it was sent, and has nothing to send.
  const int untaken_before = std::exchange(untaken_, untaken());
  if (now >= end_ || untaken_ >= untaken_before) return true;
  patient_until_ = deadline_after(patience, now);
  return false;
}

int Lingering::untaken() const noexcept { return ask(fileno(), SIOCOUTQ); }

void Lingering::finish() noexcept {
  std::array<char, 16384> scratch;
  while (!is_over(now())) {
    pollfd watched{fileno(), POLLIN, 0};
    if (::poll(&watched, 1, milliseconds_until(deadline())) > 0) discard(scratch, now());
  }
}

}  // namespace sockserv::inline abi_0::detail
