// Multiplexed I/O: one call waits for all sockets, and says which of them are ready.
//
//     06_multiplexed_server [PORT]     and     nc 127.0.0.1 9000
//
// As with non-blocking I/O one thread serves all clients, but it sleeps until there is something to do, and is told
// what. Here by epoll, in Python's modules `selectors` and `asyncio` as well; select and poll are its ancestors. This
// is how servers with many clients are made, sockserv's fibers included.

#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <map>

#include "echo.hpp"
#include "support/by_hand.hpp"

using by_hand::check;

/// Adds a socket to those that epoll watches, or changes what for.
void watch(int epoll, int operation, int socket, std::uint32_t events) {
  epoll_event wanted{};
  wanted.events = events;
  wanted.data.fd = socket;
  check(::epoll_ctl(epoll, operation, socket, &wanted), "epoll_ctl");
}

int main(int argc, char** argv) {
  const int listener = by_hand::listen_on(by_hand::port_argument(argc, argv, by_hand::End::server));
  // A socket that is ready may be so no more when its turn comes; then nothing must wait. So none of them does.
  check(::fcntl(listener, F_SETFL, O_NONBLOCK), "fcntl");
  by_hand::end_on_signals();
  by_hand::announce("tcp", listener);

  // snippet: loop
  const int epoll = check(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
  watch(epoll, EPOLL_CTL_ADD, listener, EPOLLIN);
  std::map<int, Client> clients;
  std::array<epoll_event, 64> ready{};
  while (true) {
    const int count = ::epoll_wait(epoll, ready.data(), static_cast<int>(ready.size()), -1);
    if (count == -1 && errno != EINTR) by_hand::fail("epoll_wait");  // EINTR: it was stopped and continued
    for (int i = 0; i < count; ++i) {
      const int socket = ready[static_cast<std::size_t>(i)].data.fd;
      if (socket == listener) {
        if (const auto accepted = by_hand::accept_from(listener, SOCK_NONBLOCK)) {
          clients[*accepted] = {*accepted, {}};
          watch(epoll, EPOLL_CTL_ADD, *accepted, EPOLLIN);
        }
        continue;
      }
      Client& client = clients[socket];
      if (echo(client) == Step::gone) {
        clients.erase(socket);
        ::close(socket);  // epoll forgets it by this
      } else {
        watch(epoll, EPOLL_CTL_MOD, socket, client.unsent.empty() ? EPOLLIN : EPOLLOUT);
      }
    }
  }
  // snippet end
}
