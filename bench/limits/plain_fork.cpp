/// The limit of a process for each connection: accept, fork, echo lines, reap.
/// With an argument, without delay (TCP_NODELAY).

#include <sys/wait.h>

#include "plain.hpp"

int main(int argc, char**) {
  const int listener = plain::listen_on_loopback(0, argc > 1);
  for (;;) {
    const int connection = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (connection < 0) continue;
    if (::fork() == 0) {
      ::close(listener);
      plain::echo_lines(connection);
      ::_exit(0);
    }
    ::close(connection);
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {
    }
  }
}
