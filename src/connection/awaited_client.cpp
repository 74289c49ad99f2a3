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

/// How much of what the client has sent is shown to `AwaitedInput::is_enough()`.
constexpr std::size_t most_shown = 4096;

}  // namespace

AwaitedClient::AwaitedClient(Connection& connection, const Address& client_address, time_point now)
    : connection_(detail::Descriptor(), client_address),
      client_address_(client_address),
      since_(now),
      limit_(connection.limits_.deadline(now, {}, 0)),
      deadline_(std::min(limit_.at, connection.awaited_input_->deadline())) {
  connection_ = std::move(connection);
}

bool AwaitedClient::has_enough(std::uint32_t events) noexcept {
  std::array<char, most_shown> shown;
  ssize_t count = 0;
  do {
    count = ::recv(fileno(), shown.data(), shown.size(), MSG_PEEK | MSG_DONTWAIT);
  } while (count < 0 && errno == EINTR);
  if (count < 0 && would_block()) return false;
  // The layer finds out by itself that nothing more can come.
  if (count <= 0 || (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) return true;
  const auto size = static_cast<std::size_t>(count);
  bool is_enough = size == shown.size();
  if (!is_enough) {
    error_ = error_of([&] { is_enough = connection_.awaited_input_->is_enough({shown.data(), size}); });
  }
  return is_enough || error_;
}

void AwaitedClient::shorten(time_point deadline) noexcept { deadline_ = std::min(deadline_, deadline); }

void AwaitedClient::check() const {
  if (error_) std::rethrow_exception(error_);
}

void AwaitedClient::fail() {
  const bool by_layer = deadline_ < limit_.at || limit_.meaning == errc::timed_out;
  if (by_layer) {
    if (const auto error = connection_.awaited_input_->timeout_error()) std::rethrow_exception(error);
  }
  error_code error;
  connection_.abort(by_layer ? errc::prepare_too_long : limit_.meaning, error);
  throw_request_error(error, "prepare_request");
}

}  // namespace sockserv::inline abi_0::detail
