// What listen's number means: an experiment that runs by itself, for about a second.
//
//     04_backlog
//
// The system makes connections by itself (SYN, SYN and ACK, ACK); accept only fetches those that are made. The backlog
// is how many may wait for that. Watch two clients be connected to a server that has accepted nobody. (Linux lets one
// more wait than the number says.) For the third there is no room, so its SYN is dropped, and it sends another one a
// second later: a full backlog looks like a slow network. sockserv asks for SOMAXCONN, the most that the system gives.

#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <iostream>

#include "support/by_hand.hpp"

using by_hand::check;

tcp_info info_of(int socket) {
  tcp_info info{};
  socklen_t length = sizeof info;
  check(::getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &length), "getsockopt TCP_INFO");
  return info;
}

const char* state_of(int socket) {
  switch (info_of(socket).tcpi_state) {
    case TCP_ESTABLISHED:
      return "ESTABLISHED";
    case TCP_SYN_SENT:
      return "SYN_SENT";
    default:
      return "neither connecting nor connected";
  }
}

void show(int listener, const std::array<int, 3>& clients) {
  // Of a listening socket, these two fields tell how many wait to be accepted, and the backlog.
  const tcp_info info = info_of(listener);
  std::cout << "  " << info.tcpi_unacked << " wait to be accepted; the backlog is " << info.tcpi_sacked << '\n';
  for (const int client : clients) std::cout << "  a client is " << state_of(client) << '\n';
}

int main(int argc, char** argv) {
  if (argc > 1) by_hand::exit_usage(argc, argv, "");
  const int listener = by_hand::listen_on(0);
  check(::listen(listener, 1), "listen");  // a second listen only changes the backlog

  // snippet: three clients
  const sockaddr_in address = by_hand::local_address(listener);
  std::array<int, 3> clients{};
  for (int& client : clients) {
    client = check(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket");
    const int result = ::connect(client, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    if (result == -1 && errno != EINPROGRESS) by_hand::fail("connect");  // EINPROGRESS: it goes on by itself
  }
  std::cout << "three clients have called connect, and nobody accept:\n";
  show(listener, clients);
  // snippet end

  // snippet: room
  const int accepted = check(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC), "accept");
  std::cout << "one has been accepted, so there is room:\n";
  show(listener, clients);

  const auto start = std::chrono::steady_clock::now();
  pollfd third{clients[2], POLLOUT, 0};  // "there is room to send" is how a socket says that it is connected
  while (::poll(&third, 1, -1) == -1) {
    if (errno != EINTR) by_hand::fail("poll");  // EINTR: the program was stopped and continued
  }
  const auto waited = std::chrono::steady_clock::now() - start;
  std::cout << "the third has tried again, after "
            << std::chrono::duration_cast<std::chrono::milliseconds>(waited).count() << " ms:\n";
  show(listener, clients);
  // snippet end

  for (const int client : clients) ::close(client);
  ::close(accepted);
  ::close(listener);
}
