#pragma once

/// What the three servers of plain Boost.Asio have in common.

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <cstdio>
#include <exception>

namespace peer {

using boost::asio::ip::tcp;

/// A listener at a free port of 127.0.0.1, which has been announced.
inline tcp::acceptor listen(boost::asio::io_context& context) {
  tcp::acceptor acceptor(context, {boost::asio::ip::address_v4::loopback(), 0});
  acceptor.listen(4096);
  std::printf("listening on tcp://127.0.0.1:%d\n", static_cast<int>(acceptor.local_endpoint().port()));
  std::fflush(stdout);
  return acceptor;
}

/// A connection that has just been accepted: as all servers that sockserv-bench compares, it sends at once.
inline void set_up(tcp::socket& connection) {
  boost::system::error_code ignored;  // of a client that has gone
  static_cast<void>(connection.set_option(tcp::no_delay(true), ignored));
}

/// The main() of each: starts accepting, and serves until the process is ended.
inline int serve(void (*start)(tcp::acceptor&)) {
  try {
    boost::asio::io_context context(1);
    auto acceptor = listen(context);
    start(acceptor);
    context.run();
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}

}  // namespace peer
