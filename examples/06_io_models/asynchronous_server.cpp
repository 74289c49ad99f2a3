// Asynchronous I/O: a call only begins; when it has been done, a function is called with what came of it.
//
//     06_asynchronous_server [PORT]     and     nc 127.0.0.1 9000
//
// The others learn that they may receive, and then do. This one says where the bytes shall go, and learns that they are
// there. Watch how the loop has gone: what follows is in the functions that are passed on, and whatever they need must
// live until then. (Boost.Asio makes this of epoll, and with it the calls that are left out here; Linux's own is
// io_uring. sockserv's fibers turn it round again: written like blocking, run like this.)

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <exception>
#include <iostream>
#include <memory>

#include "support/by_hand.hpp"

using boost::asio::ip::tcp;

/// One client. Each operation that is under way owns a share of it; with the last it goes, and closes its socket.
class Client : public std::enable_shared_from_this<Client> {
 public:
  explicit Client(tcp::socket socket) : socket_(std::move(socket)) {}

  // snippet: echo
  void receive() {
    socket_.async_read_some(boost::asio::buffer(buffer_), [self = shared_from_this()](auto error, std::size_t size) {
      if (!error) self->send(size);  // an error: the client sends no more, or the connection is broken
    });
  }

 private:
  void send(std::size_t size) {
    boost::asio::async_write(socket_, boost::asio::buffer(buffer_, size),
                             [self = shared_from_this()](auto error, std::size_t) {
                               if (!error) self->receive();
                             });
  }
  // snippet end

  tcp::socket socket_;
  std::array<char, 4096> buffer_{};
};

void accept(tcp::acceptor& acceptor) {
  acceptor.async_accept([&](auto error, tcp::socket socket) {
    if (error) throw boost::system::system_error(error, "accept");
    std::make_shared<Client>(std::move(socket))->receive();
    accept(acceptor);
  });
}

int main(int argc, char** argv) {
  const int listener = by_hand::listen_on(by_hand::port_argument(argc, argv, by_hand::End::server));
  by_hand::end_on_signals();

  // snippet: loop
  try {
    boost::asio::io_context context(1);  // runs in one thread, like the others
    tcp::acceptor acceptor(context, tcp::v4(), listener);
    accept(acceptor);
    by_hand::announce("tcp", listener);
    context.run();
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
  // snippet end
}
