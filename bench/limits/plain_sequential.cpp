/// The limit of one connection at a time: accept, echo lines.

#include "plain.hpp"

int main() {
  const int listener = plain::listen_on_loopback();
  for (;;) {
    const int connection = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (connection < 0) continue;
    plain::echo_lines(connection);
    ::close(connection);
  }
}
