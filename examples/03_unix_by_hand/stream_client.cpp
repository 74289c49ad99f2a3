// A Unix stream client: TCP's calls, with a path for the address.
//
//     03_unix_stream_client [PATH]     with     03_unix_stream_server [PATH]
//
// It sends "hello" and then says that it sends no more; what comes back until the server says so as well is the answer.

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <iostream>

#include "path.hpp"

using by_hand::check;

int main(int argc, char** argv) {
  const std::string_view path = path_argument(argc, argv, "/tmp/by_hand.stream");

  // snippet: connect
  const int server = check(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
  const sockaddr_un address = unix_address(path);
  check(::connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof address), "connect", path);
  // snippet end

  if (!by_hand::send_all(server, "hello\n")) by_hand::fail("send");
  check(::shutdown(server, SHUT_WR), "shutdown");  // closes one direction; the other goes on

  std::array<char, 1024> buffer{};
  ssize_t received = 0;
  while ((received = check(::recv(server, buffer.data(), buffer.size(), 0), "recv")) > 0) {
    std::cout.write(buffer.data(), received);
  }
  ::close(server);
}
