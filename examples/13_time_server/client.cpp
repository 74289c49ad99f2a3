// Asks for the time, and asks again if there is no answer: over UDP the question or the answer may get lost.
//
//     13_time_client [PORT [FORMAT]]     with     13_time_server
//
// Watch what it says when there is no server. Its socket is connected, which for UDP only means that it sends to and
// hears from one address; but then the system also tells when that machine says that nobody has the port.

#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <iostream>
#include <string_view>

#include "support/by_hand.hpp"
#include "support/printable.hpp"

using by_hand::check;

int main(int argc, char** argv) {
  const auto port = argc == 1 ? 9000 : by_hand::port_number(argv[1], by_hand::End::client);
  if (argc > 3 || !port) by_hand::exit_usage(argc, argv, "[PORT [FORMAT]]");
  const std::string_view format = argc == 3 ? argv[2] : "";

  // snippet: connect
  const sockaddr_in server = by_hand::loopback(*port);
  const int socket = check(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
  check(::connect(socket, reinterpret_cast<const sockaddr*>(&server), sizeof server), "connect");
  // snippet end

  // snippet: ask again
  const timeval limit{1, 0};
  check(::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), "setsockopt SO_RCVTIMEO");
  for (int attempt = 1; attempt <= 3; ++attempt) {
    check(::send(socket, format.data(), format.size(), 0), "send", by_hand::to_string(server));
    std::array<char, 1024> answer{};
    const ssize_t size = ::recv(socket, answer.data(), answer.size(), 0);
    if (size == -1 && (errno == EAGAIN || errno == EINTR)) continue;
    check(size, "recv", by_hand::to_string(server));
    std::cout << example::printable({answer.data(), static_cast<std::size_t>(size)}) << '\n';
    ::close(socket);
    return 0;
  }
  std::cerr << "no answer to three questions\n";
  // snippet end
  return 1;
}
