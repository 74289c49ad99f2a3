// A TCP server in system calls: socket, bind, listen, accept, recv, send, close.
//
//     01_tcp_server [PORT]     and     01_tcp_client [PORT]     or     nc 127.0.0.1 9000
//
// Python's socket module has these calls under the same names, with the checks built in; here they are by hand. Watch
// what the server says about its clients. Then start a second client while the first is connected: it can connect and
// send, but gets no answer until the first has gone, since this server is busy with one client at a time.

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cctype>
#include <cerrno>
#include <iostream>
#include <string>

#include "support/by_hand.hpp"

using by_hand::check;

// snippet: recv and send
void serve(int client) {
  std::array<char, 1024> buffer{};
  while (true) {
    // Waits until there are bytes: at least one, at most as many as fit, however they were sent. (See 05.)
    const ssize_t received = ::recv(client, buffer.data(), buffer.size(), 0);
    if (received == 0) return;   // the client sends no more
    if (received == -1) return;  // the connection is broken; a server must outlive that
    std::string bytes(buffer.data(), static_cast<std::size_t>(received));
    for (char& byte : bytes) byte = static_cast<char>(std::toupper(static_cast<unsigned char>(byte)));
    if (!by_hand::send_all(client, bytes)) return;  // Python's sendall
  }
}
// snippet end

int main(int argc, char** argv) {
  const std::uint16_t port = by_hand::port_argument(argc, argv, by_hand::End::server);
  by_hand::end_on_signals();

  // snippet: socket, bind, listen
  const int listener = check(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
  const int on = 1;  // what this is for is shown in 04
  check(::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), "setsockopt SO_REUSEADDR");

  sockaddr_in address{};  // in Python: ("127.0.0.1", port)
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);  // numbers go over the network with their high byte first
  check(::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address), "bind", by_hand::to_string(address));
  check(::listen(listener, SOMAXCONN), "listen");
  // snippet end
  by_hand::announce("tcp", listener);

  // snippet: accept
  while (true) {
    sockaddr_in peer{};
    socklen_t length = sizeof peer;
    // The listening socket only brings clients; to each belongs a socket of its own.
    const int client = ::accept4(listener, reinterpret_cast<sockaddr*>(&peer), &length, SOCK_CLOEXEC);
    if (client == -1 && errno == ECONNABORTED) continue;  // it has gone before its turn came
    check(client, "accept");
    std::clog << by_hand::to_string(peer) << " has connected\n";
    serve(client);
    ::close(client);
    std::clog << by_hand::to_string(peer) << " has gone\n";
  }
  // snippet end
}
