/// The limit of a thread for each connection: accept, start a thread, echo lines.

#include <thread>

#include "plain.hpp"

int main() {
  const int listener = plain::listen_on_loopback();
  for (;;) {
    const int connection = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (connection < 0) continue;
    std::thread([connection] {
      plain::echo_lines(connection);
      ::close(connection);
    }).detach();
  }
}
