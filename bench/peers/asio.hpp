#pragma once

/// What the three servers of plain Boost.Asio have in common.

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <cstdio>

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

}  // namespace peer
