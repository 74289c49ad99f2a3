// A TCP client in system calls: socket, connect, send, recv, close.
//
//     01_tcp_client [PORT]     with     01_tcp_server [PORT]
//
// Type lines; each is sent, and comes back in upper case. Ctrl-D ends the client. What it does not do is as telling: it
// binds to no port (the system picks one when it connects), and it does not take one recv for one answer.

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <iostream>
#include <string>

#include "support/by_hand.hpp"

using by_hand::check;

/// Receives so many bytes, in as many pieces as they come in.
std::string receive(int server, std::size_t count) {
  std::string answer;
  while (answer.size() < count) {
    std::array<char, 1024> buffer{};
    const ssize_t received = check(::recv(server, buffer.data(), buffer.size(), 0), "recv");
    if (received == 0) {
      std::cerr << "the server has closed the connection\n";
      std::exit(1);
    }
    answer.append(buffer.data(), static_cast<std::size_t>(received));
  }
  return answer;
}

int main(int argc, char** argv) {
  const std::uint16_t port = by_hand::port_argument(argc, argv, by_hand::End::client);

  // snippet: connect
  const int server = check(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  check(::connect(server, reinterpret_cast<sockaddr*>(&address), sizeof address), "connect",
        by_hand::to_string(address));
  // snippet end
  std::clog << "this end is " << by_hand::to_string(by_hand::local_address(server)) << '\n';

  for (std::string line; std::getline(std::cin, line);) {
    line += '\n';
    if (!by_hand::send_all(server, line)) by_hand::fail("send");
    std::cout << receive(server, line.size()) << std::flush;
  }
  ::close(server);  // the server's recv returns 0 then
}
