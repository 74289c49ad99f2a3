/// The limit of a thread for each connection: accept, start a thread, echo lines.
/// With an argument, without delay (TCP_NODELAY).

#include <thread>

#include "plain.hpp"

int main(int argc, char**) {
  const int listener = plain::listen_on_loopback(0, argc > 1);
  for (;;) {
    const int connection = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (connection < 0) continue;
    std::thread([connection] {
      plain::echo_lines(connection);
      ::close(connection);
    }).detach();
  }
}
