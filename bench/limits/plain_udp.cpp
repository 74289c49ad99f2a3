/// The limit of one thread for all datagrams: receive, send back.

#include "plain.hpp"

int main() {
  const int socket = plain::bind_to_loopback(SOCK_DGRAM);
  plain::announce("udp", socket);
  std::array<char, 65536> packet;
  for (;;) {
    sockaddr_in sender{};
    socklen_t length = sizeof sender;
    auto* const native = reinterpret_cast<sockaddr*>(&sender);
    const ssize_t received = ::recvfrom(socket, packet.data(), packet.size(), 0, native, &length);
    if (received < 0) continue;
    ::sendto(socket, packet.data(), static_cast<std::size_t>(received), 0, native, length);
  }
}
