// Plain Boost.Asio with C++20's coroutines (asio::awaitable): one thread; lines sent back.

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <string>
#include <utility>

#include "asio.hpp"

namespace {

using boost::asio::awaitable;
using peer::tcp;

constexpr auto with_error = boost::asio::as_tuple(boost::asio::use_awaitable);

awaitable<void> echo(tcp::socket socket) {
  std::string unread;
  for (;;) {
    const auto [read_error, count] =
        co_await async_read_until(socket, boost::asio::dynamic_buffer(unread), '\n', with_error);
    if (read_error) co_return;
    const auto [write_error, written] = co_await async_write(socket, boost::asio::buffer(unread, count), with_error);
    if (write_error) co_return;
    unread.erase(0, written);
  }
}

awaitable<void> accept(tcp::acceptor& acceptor) {
  for (;;) {
    auto [error, socket] = co_await acceptor.async_accept(with_error);
    if (error) continue;
    peer::set_up(socket);
    co_spawn(acceptor.get_executor(), echo(std::move(socket)), boost::asio::detached);
  }
}

}  // namespace

int main() {
  return peer::serve(
      [](tcp::acceptor& acceptor) { co_spawn(acceptor.get_executor(), accept(acceptor), boost::asio::detached); });
}
