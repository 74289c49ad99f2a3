// A Unix datagram server: UDP's calls, for processes of one machine.
//
//     03_unix_datagram_server [PATH]     and     03_unix_datagram_client [PATH]
//     echo hello | nc -Uu -w1 /tmp/by_hand.datagram
//
// It answers everything, its own answers included, which 02_udp_server must not do: here nobody can send in the name of
// another, because the system says whose name it is.
//
// Unlike UDP, nothing gets lost or overtaken: whoever sends to a socket whose queue is full waits. And a client that
// has not bound its socket to a name cannot be answered. Debian's nc binds one in /tmp, without being asked; Python's
// socket does not: python3 -c 'import socket as s; s.socket(s.AF_UNIX, s.SOCK_DGRAM).sendto(b"hello",
// "/tmp/by_hand.datagram")'

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <iostream>

#include "path.hpp"

using by_hand::check;

int main(int argc, char** argv) {
  const std::string_view path = path_argument(argc, argv, "/tmp/by_hand.datagram");

  const int socket = check(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
  bind_to_path(socket, path);
  by_hand::end_on_signals(path);  // which removes the path
  std::cout << "listening on unixgram://" << path << std::endl;

  std::array<char, 65536> buffer{};
  while (true) {
    // snippet: answer
    sockaddr_un client{};
    socklen_t length = sizeof client;
    const ssize_t size = check(
        ::recvfrom(socket, buffer.data(), buffer.size(), 0, reinterpret_cast<sockaddr*>(&client), &length), "recvfrom");
    if (length <= sizeof(sa_family_t)) {
      std::clog << size << " bytes from a client without a name\n";
      continue;
    }
    // MSG_DONTWAIT: who takes no answers gets no more of them, instead of holding up the others.
    if (::sendto(socket, buffer.data(), static_cast<std::size_t>(size), MSG_DONTWAIT,
                 reinterpret_cast<sockaddr*>(&client), length) == -1) {
      std::perror("sendto");
    }
    // snippet end
  }
}
