#include "awaited_client.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <sockserv/error.hpp>
#include <utility>

#include "../base/would_block.hpp"

namespace sockserv::inline abi_0::detail {
namespace {

/// How much of what the client has sent a preparation is shown.
constexpr std::size_t most_shown = 4096;

}  // namespace

AwaitedClient::AwaitedClient(Connection&& connection, const Address& client_address, time_point now) noexcept
    : connection_(std::move(connection)),
      client_address_(client_address),
      since_(now),
      limit_(connection_.limits_.deadline(now, {}, 0)),
      deadline_(std::min(limit_.at, connection_.preparation_->deadline())) {}

bool AwaitedClient::can_go_on(std::uint32_t events) const {
  std::array<char, most_shown> shown;
  const ssize_t count = ::recv(fileno(), shown.data(), shown.size(), MSG_PEEK | MSG_DONTWAIT);
  if (count < 0 && (would_block() || errno == EINTR)) return false;
  // Of one that sends no more, the layer finds out by itself.
  if (count <= 0 || (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) return true;
  const auto size = static_cast<std::size_t>(count);
  return size == shown.size() || connection_.preparation_->has_enough({shown.data(), size});
}

void AwaitedClient::shorten(time_point deadline) noexcept { deadline_ = std::min(deadline_, deadline); }

std::exception_ptr AwaitedClient::error() {
  if (limit_.at > deadline_) return connection_.preparation_->error();
  error_code error;
  connection_.abort(limit_.meaning, error);
  return error_of([&] { check(error, "prepare_request"); });
}

}  // namespace sockserv::inline abi_0::detail
