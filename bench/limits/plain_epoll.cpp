/// The limit of one thread for all connections: an edge-triggered epoll loop that sends back what it receives.
/// With an argument, without delay (TCP_NODELAY).

#include <sys/epoll.h>

#include <cerrno>

#include "plain.hpp"

namespace {

void watch(int epoll, int descriptor) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;
  event.data.fd = descriptor;
  if (::epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) != 0) ::close(descriptor);
}

void accept_all(int epoll, int listener) {
  for (;;) {
    const int connection = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (connection < 0) return;
    watch(epoll, connection);
  }
}

/// Echoes until the socket is empty. A client that leaves no room for the reply is dropped: none of ours does.
void echo(int connection) {
  std::array<char, 16384> buffer;
  for (;;) {
    const ssize_t received = ::recv(connection, buffer.data(), buffer.size(), 0);
    if (received < 0 && errno == EAGAIN) return;
    if (received <= 0 ||
        ::send(connection, buffer.data(), static_cast<std::size_t>(received), MSG_NOSIGNAL) != received) {
      ::close(connection);
      return;
    }
    // What comes after a receive that left room is a new edge.
    if (static_cast<std::size_t>(received) < buffer.size()) return;
  }
}

}  // namespace

int main(int argc, char**) {
  const int listener = plain::listen_on_loopback(SOCK_NONBLOCK, argc > 1);
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  watch(epoll, listener);
  std::array<epoll_event, 256> events;
  for (;;) {
    const int count = ::epoll_wait(epoll, events.data(), events.size(), -1);
    for (int i = 0; i < count; ++i) {
      const int ready = events[static_cast<std::size_t>(i)].data.fd;
      if (ready == listener) {
        accept_all(epoll, listener);
      } else {
        echo(ready);
      }
    }
  }
}
