// Plain Boost.Asio with callbacks: one thread, an object for each connection; sends back what it receives.

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/write.hpp>
#include <memory>
#include <utility>

#include "asio.hpp"

namespace {

using boost::system::error_code;
using peer::tcp;

class Session : public std::enable_shared_from_this<Session> {
 public:
  explicit Session(tcp::socket socket) : socket_(std::move(socket)) {}

  void read() {
    socket_.async_read_some(boost::asio::buffer(bytes_), [self = shared_from_this()](error_code error, std::size_t n) {
      if (!error) self->write(n);
    });
  }

 private:
  void write(std::size_t count) {
    boost::asio::async_write(socket_, boost::asio::buffer(bytes_, count),
                             [self = shared_from_this()](error_code error, std::size_t) {
                               if (!error) self->read();
                             });
  }

  tcp::socket socket_;
  std::array<char, 16384> bytes_;
};

void accept(tcp::acceptor& acceptor) {
  acceptor.async_accept([&](error_code error, tcp::socket socket) {
    if (!error) {
      peer::set_up(socket);
      std::make_shared<Session>(std::move(socket))->read();
    }
    accept(acceptor);
  });
}

}  // namespace

int main() { return peer::serve(accept); }
