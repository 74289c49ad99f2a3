#include <sockserv/testing.hpp>

#include <algorithm>
#include <boost/asio/error.hpp>
#include <new>
#include <stdexcept>

namespace sockserv::inline abi_0::detail {

ScriptedClient::ScriptedClient(std::string_view input, std::size_t piece_size, const Address& address)
    : input_(input), piece_size_(piece_size), address_(address) {
  if (piece_size == 0) throw std::invalid_argument("ConverseOptions::piece_size is 0; it must be at least 1");
}

std::size_t ScriptedClient::receive(int, std::span<const iovec> buffers, WaitLimit, error_code& error) noexcept {
  error.clear();
  std::size_t left = piece_size_;
  std::size_t received = 0;
  for (const iovec& buffer : buffers) {
    const std::size_t count = input_.copy(static_cast<char*>(buffer.iov_base), std::min(left, buffer.iov_len));
    input_.remove_prefix(count);
    left -= count;
    received += count;
  }
  return received;
}

std::size_t ScriptedClient::send(int, std::span<const iovec> buffers, WaitLimit, error_code& error) noexcept {
  error.clear();
  const std::size_t before = output.size();
  try {
    for (const iovec& buffer : buffers) output.append(static_cast<const char*>(buffer.iov_base), buffer.iov_len);
  } catch (const std::bad_alloc&) {
    error = boost::asio::error::no_memory;
  }
  return output.size() - before;
}

void ScriptedClient::send_to(int, std::string_view packet, const Address& address, const Host&,
                             error_code& error) noexcept {
  error.clear();
  if (address != address_) return;
  try {
    reply.emplace(packet);
  } catch (const std::bad_alloc&) {
    error = boost::asio::error::no_memory;
  }
}

/// All input is there from the beginning, and there is always room.
void ScriptedClient::wait_until_ready(int, short, WaitLimit, error_code& error) noexcept { error.clear(); }

}  // namespace sockserv::inline abi_0::detail
