// A UDP client in system calls: socket, sendto, recvfrom.
//
//     02_udp_client [PORT]...     with a     02_udp_server PORT     for each
//
// Start two servers, say on ports 9000 and 9001, and name both: one socket sends to each of them (one to many). Then
// name a port where there is no server. Nobody refuses anything, there is just no answer: who needs to know must wait
// for one, for a limited time, and perhaps ask again.

#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <iostream>
#include <string_view>
#include <vector>

#include "support/by_hand.hpp"
#include "support/printable.hpp"

using by_hand::check;

std::vector<std::uint16_t> port_arguments(int argc, char** argv) {
  std::vector<std::uint16_t> ports;
  for (int i = 1; i < argc; ++i) {
    const auto port = by_hand::port_number(argv[i], by_hand::End::client);
    if (!port) by_hand::exit_usage(argc, argv, "[PORT]...");
    ports.push_back(*port);
  }
  if (ports.empty()) ports.push_back(9000);
  return ports;
}

bool was_asked(const sockaddr_in& server, const std::vector<std::uint16_t>& ports) {
  const bool is_near = server.sin_addr.s_addr == htonl(INADDR_LOOPBACK);
  return is_near && std::find(ports.begin(), ports.end(), ntohs(server.sin_port)) != ports.end();
}

int main(int argc, char** argv) {
  const std::vector<std::uint16_t> ports = port_arguments(argc, argv);
  const int socket = check(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");

  // snippet: one to many
  constexpr std::string_view question = "hello";
  for (const std::uint16_t port : ports) {
    const sockaddr_in server = by_hand::loopback(port);
    check(::sendto(socket, question.data(), question.size(), 0, reinterpret_cast<const sockaddr*>(&server),
                   sizeof server),
          "sendto", by_hand::to_string(server));
  }
  // snippet end

  // snippet: answers
  const timeval limit{1, 0};  // Python's settimeout(1)
  check(::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), "setsockopt SO_RCVTIMEO");
  for (std::size_t answers = 0; answers < ports.size();) {
    std::array<char, 2048> buffer{};
    sockaddr_in server{};
    socklen_t length = sizeof server;
    const ssize_t size =
        ::recvfrom(socket, buffer.data(), buffer.size(), 0, reinterpret_cast<sockaddr*>(&server), &length);
    if (size == -1 && errno == EINTR) continue;  // the program was stopped and continued
    if (size == -1 && errno == EAGAIN) {
      std::cerr << answers << " of " << ports.size() << " answers within a second: lost, or nobody is there\n";
      return 1;
    }
    check(size, "recvfrom");
    if (!was_asked(server, ports)) continue;  // anybody can send to this socket
    const std::string_view answer(buffer.data(), static_cast<std::size_t>(size));
    std::cout << by_hand::to_string(server) << " says: " << example::printable(answer) << '\n';
    ++answers;
  }
  // snippet end
}
