// Who may have which port: an experiment that runs by itself.
//
//     04_ports
//
// A port alone is nobody's: what a socket is bound to is a protocol, an address and a port, and what a connection is
// known by is those of both its ends. So the socket that accept returns has the same port as the listening one.

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <iostream>

#include "support/by_hand.hpp"

using by_hand::check;

/// Tries to bind a new socket, and says what came of it.
void try_to_bind(const char* what, int type, const sockaddr_in& address) {
  const int socket = check(::socket(AF_INET, type | SOCK_CLOEXEC, 0), "socket");
  const bool bound = ::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  const char* const result = bound ? "yes" : std::strerror(errno);
  std::cout << what << ": " << result << '\n';
  ::close(socket);
}

int main(int argc, char** argv) {
  if (argc > 1) by_hand::exit_usage(argc, argv, "");

  // snippet: port 0
  const int listener = by_hand::listen_on(0);  // 0: the system picks a free port
  const sockaddr_in taken = by_hand::local_address(listener);
  std::cout << "a listening socket has " << by_hand::to_string(taken) << '\n';
  // snippet end

  // snippet: who else
  sockaddr_in elsewhere = taken;
  elsewhere.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);  // 127.0.0.2: all of 127.0.0.0/8 is this machine
  sockaddr_in everywhere = taken;
  everywhere.sin_addr.s_addr = htonl(INADDR_ANY);  // 0.0.0.0: all addresses of this machine
  try_to_bind("may another have it for TCP", SOCK_STREAM, taken);
  try_to_bind("may another have it for UDP", SOCK_DGRAM, taken);
  try_to_bind("may another have the port at 127.0.0.2", SOCK_STREAM, elsewhere);
  try_to_bind("may another have the port at all addresses", SOCK_STREAM, everywhere);
  // snippet end

  // snippet: two connections
  for (const char* name : {"first", "second"}) {
    const int client = by_hand::connect_to(ntohs(taken.sin_port));
    const int accepted = check(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC), "accept");
    std::cout << name << " connection: " << by_hand::to_string(by_hand::local_address(client)) << " to "
              << by_hand::to_string(by_hand::local_address(accepted)) << '\n';
    ::close(client);
    ::close(accepted);
  }
  // snippet end
  ::close(listener);
}
