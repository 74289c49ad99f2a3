// Blocking I/O: a call returns when it has something to return.
//
//     06_blocking_server [PORT]     and     nc 127.0.0.1 9000
//
// The simplest to write and to read. While it waits for one client, it cannot wait for another: start two, and the
// second has its turn when the first has gone. (Serving more takes a thread or a process for each; see 08.)

#include <unistd.h>

#include "echo.hpp"
#include "support/by_hand.hpp"

int main(int argc, char** argv) {
  const int listener = by_hand::listen_on(by_hand::port_argument(argc, argv, by_hand::End::server));
  by_hand::end_on_signals();
  by_hand::announce("tcp", listener);

  // snippet: loop
  while (true) {
    const auto accepted = by_hand::accept_from(listener);  // waits for a client
    if (!accepted) continue;
    Client client{*accepted, {}};
    while (echo(client) != Step::gone) continue;  // waits for bytes
    ::close(client.socket);
  }
  // snippet end
}
