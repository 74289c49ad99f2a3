// Three clients in one: all connect and ask at once, and stay connected as long as they can.
//
//     08_mixins_client [PORT]     with     08_mixins_server --mixin NAME
//
// If a client has no answer after half a second, the server is busy with those before it, which then have to leave.
// Watch when that happens: without a mixin always, and under a pool, threads or processes, whenever it is smaller than
// three.

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <iostream>
#include <string>

#include "support/by_hand.hpp"

using by_hand::check;

/// Waits for an answer; false if there is none in time. -1: as long as it takes.
bool has_answer(int socket, int milliseconds) {
  pollfd waiting{socket, POLLIN, 0};
  int ready = 0;
  do {
    ready = ::poll(&waiting, 1, milliseconds);
  } while (ready == -1 && errno == EINTR);
  return check(ready, "poll") == 1;
}

/// The answer, which is a line.
std::string receive_line(int socket) {
  std::string line;
  while (!line.ends_with('\n')) {
    std::array<char, 200> buffer{};
    const ssize_t size = check(::recv(socket, buffer.data(), buffer.size(), 0), "recv");
    if (size == 0) return line + "(the server has closed the connection)\n";
    line.append(buffer.data(), static_cast<std::size_t>(size));
  }
  return line;
}

int main(int argc, char** argv) {
  const std::uint16_t port = by_hand::port_argument(argc, argv, by_hand::End::client);
  std::array<int, 3> clients{};
  for (int& client : clients) {
    client = by_hand::connect_to(port);
    if (!by_hand::send_all(client, "who\n")) by_hand::fail("send");
  }

  // snippet: one after the other
  auto served = clients.begin();  // the first that is still connected
  for (auto client = clients.begin(); client != clients.end(); ++client) {
    if (!has_answer(*client, 500)) {
      std::cout << "client " << client - clients.begin() + 1 << " has to wait until the others leave\n";
      while (served != client) ::close(*served++);
      has_answer(*client, -1);
    }
    std::cout << "client " << client - clients.begin() + 1 << ": " << receive_line(*client) << std::flush;
  }
  // snippet end
  while (served != clients.end()) ::close(*served++);
}
