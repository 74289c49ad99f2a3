// Plain Boost.Asio with stackful coroutines (asio::spawn): one thread; lines sent back.

#include <boost/asio/buffer.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/spawn.hpp>
#include <boost/asio/write.hpp>
#include <exception>
#include <string>
#include <utility>

#include "asio.hpp"

namespace {

using boost::asio::yield_context;
using boost::system::error_code;
using peer::tcp;

void rethrow(const std::exception_ptr& error) {
  if (error) std::rethrow_exception(error);
}

void echo(tcp::socket& socket, const yield_context& yield) {
  std::string unread;
  error_code error;
  for (;;) {
    const std::size_t count = async_read_until(socket, boost::asio::dynamic_buffer(unread), '\n', yield[error]);
    if (error) return;
    async_write(socket, boost::asio::buffer(unread, count), yield[error]);
    if (error) return;
    unread.erase(0, count);
  }
}

void accept(tcp::acceptor& acceptor, const yield_context& yield) {
  for (;;) {
    error_code error;
    tcp::socket socket = acceptor.async_accept(yield[error]);
    if (error) continue;
    peer::set_up(socket);
    boost::asio::spawn(
        acceptor.get_executor(), [socket = std::move(socket)](const yield_context& own) mutable { echo(socket, own); },
        rethrow);
  }
}

}  // namespace

int main() {
  return peer::serve([](tcp::acceptor& acceptor) {
    boost::asio::spawn(acceptor.get_executor(), [&](const yield_context& yield) { accept(acceptor, yield); }, rethrow);
  });
}
