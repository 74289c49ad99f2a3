#include <sockserv/detail/transport.hpp>

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/error.hpp>
#include <memory>
#include <new>
#include <sockserv/detail/descriptor.hpp>
#include <sockserv/detail/live_requests.hpp>

#include "transfer.hpp"

namespace sockserv::inline abi_0::detail {

std::size_t Transport::receive_more(int descriptor, InputBuffer& buffer, LiveRequest* idle, WaitLimit limit,
                                    error_code& error) {
  if (idle && !has_buffered()) {
    const LiveRequest::Idle mark(idle);
    wait_until_ready(descriptor, POLLIN, limit, error);
    if (error) return 0;
  }
  const std::span<char> room = buffer.room();
  const iovec target{room.data(), room.size()};
  const std::size_t count = receive(descriptor, {&target, 1}, limit, error);
  buffer.commit(count);
  return count;
}

std::size_t Transport::send_unless_input(int descriptor, std::span<const iovec> buffers, WaitLimit limit,
                                         error_code& error) noexcept {
  for (;;) {
    const std::size_t count = send(descriptor, buffers, WaitLimit::at_once(), error);
    if (error != errc::timed_out) return count;
    limit.deadline();  // a timeout is that of all waits together
    wait_until_ready(descriptor, POLLIN | POLLOUT, limit, error);
    if (error || has_input(descriptor)) return 0;
  }
}

std::size_t Transport::send_file(int descriptor, int file, std::uint64_t offset, std::size_t count, WaitLimit limit,
                                 error_code& error) noexcept {
  constexpr std::size_t piece = 65536;
  const std::unique_ptr<char[]> bytes(new (std::nothrow) char[piece]);
  if (!bytes) {
    error = boost::asio::error::no_memory;
    return 0;
  }
  const std::size_t size =
      retry([&] { return ::pread(file, bytes.get(), std::min(count, piece), static_cast<off_t>(offset)); }, error);
  if (error || size == 0) return 0;
  const iovec source{bytes.get(), size};
  return send(descriptor, {&source, 1}, limit, error);
}

bool Transport::has_input(int descriptor) noexcept { return is_readable(descriptor); }

void Transport::timeouts_changed(int, const Timeouts&, error_code& error) noexcept { error.clear(); }

}  // namespace sockserv::inline abi_0::detail
