// A Unix datagram client: UDP's calls, with a path for the address.
//
//     03_unix_datagram_client [PATH]     with     03_unix_datagram_server [PATH]
//
// To be answered it needs a name of its own. It lets the system pick one in Linux's abstract namespace, which leaves no
// file behind. (UDP's sendto does so unasked: it picks a port.)

#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <iostream>

#include "path.hpp"

using by_hand::check;

int main(int argc, char** argv) {
  const std::string_view path = path_argument(argc, argv, "/tmp/by_hand.datagram");
  const int socket = check(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");

  // snippet: a name of its own
  sockaddr_un own{};
  own.sun_family = AF_UNIX;
  check(::bind(socket, reinterpret_cast<sockaddr*>(&own), sizeof own.sun_family), "bind");
  // snippet end

  const sockaddr_un server = unix_address(path);
  constexpr std::string_view question = "hello\n";
  check(
      ::sendto(socket, question.data(), question.size(), 0, reinterpret_cast<const sockaddr*>(&server), sizeof server),
      "sendto", path);

  const timeval limit{10, 0};
  check(::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), "setsockopt SO_RCVTIMEO");
  std::array<char, 1024> buffer{};
  ssize_t size = 0;
  do {
    size = ::recv(socket, buffer.data(), buffer.size(), 0);
  } while (size == -1 && errno == EINTR);  // the program was stopped and continued
  std::cout.write(buffer.data(), check(size, "recv"));
  ::close(socket);
}
