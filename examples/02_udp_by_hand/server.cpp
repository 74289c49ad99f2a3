// A UDP server in system calls: socket, bind, recvfrom, sendto.
//
//     02_udp_server [PORT]     and     02_udp_client [PORT]...     or     nc -u 127.0.0.1 9000
//
// There is no connection, so there is nothing to listen for, to accept or to close: this one socket hears all clients
// (many to one), and recvfrom says whose each datagram is. A datagram arrives whole, once, or not at all; two never
// become one, as they may in TCP. An empty one is a datagram, too, and not the end of anything.
//
// No answer is answered: otherwise two such servers, and one datagram that claims to come from one of them, would keep
// each other busy indefinitely.

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <iostream>
#include <string>
#include <string_view>

#include "support/by_hand.hpp"

using by_hand::check;

// snippet: no answer to answers
/// What each answer holds, and no question should.
constexpr std::string_view mark = " bytes from ";

/// Returns true if an answer of such a server is in the datagram, also in capitals, as 07_udp_server sends it back.
bool holds_answer(std::string_view datagram) {
  const auto same_letter = [](unsigned char left, char right) { return std::tolower(left) == right; };
  return std::search(datagram.begin(), datagram.end(), mark.begin(), mark.end(), same_letter) != datagram.end();
}
// snippet end

int main(int argc, char** argv) {
  const std::uint16_t port = by_hand::port_argument(argc, argv, by_hand::End::server);
  by_hand::end_on_signals();

  // snippet: bind
  const int socket = check(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
  const sockaddr_in address = by_hand::loopback(port);
  check(::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address), "bind",
        by_hand::to_string(address));
  // snippet end
  by_hand::announce("udp", socket);

  std::array<char, 1024> buffer{};
  for (int number = 1;; ++number) {
    // snippet: recvfrom and sendto
    sockaddr_in client{};
    socklen_t length = sizeof client;
    // What does not fit into the buffer is lost. With MSG_TRUNC, recvfrom at least says how long the datagram was.
    const ssize_t size = check(
        ::recvfrom(socket, buffer.data(), buffer.size(), MSG_TRUNC, reinterpret_cast<sockaddr*>(&client), &length),
        "recvfrom");
    const std::string_view kept(buffer.data(), std::min(static_cast<std::size_t>(size), buffer.size()));
    if (holds_answer(kept)) continue;

    std::string answer = "datagram " + std::to_string(number) + " here, " + std::to_string(size);
    answer.append(mark).append(by_hand::to_string(client)).append(": ").append(kept);
    // All or nothing: there are no short sends. An error concerns this datagram only.
    if (::sendto(socket, answer.data(), answer.size(), 0, reinterpret_cast<sockaddr*>(&client), length) == -1) {
      std::perror("sendto");
    }
    // snippet end
  }
}
