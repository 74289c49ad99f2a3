// Signal-driven I/O: the system sends a signal when something happens at a socket.
//
//     06_signal_driven_server [PORT]     and     nc 127.0.0.1 9000
//
// F_SETSIG makes it a real-time signal: these queue up, and say which socket it is. They are not handled when they
// come, where hardly a function is safe to call, but fetched by sigwaitinfo one by one. Still it is the odd one out: a
// signal says that something changed, not that there is something to do, so all must be done that can be; each costs a
// call; and when the queue is full, there is only SIGIO, which means: look everywhere.

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <map>

#include "echo.hpp"
#include "support/by_hand.hpp"

using by_hand::check;

/// Has the system send a signal to this process whenever something changes at the socket.
void notify(int socket) {
  check(::fcntl(socket, F_SETOWN, ::getpid()), "fcntl F_SETOWN");
  check(::fcntl(socket, F_SETSIG, SIGRTMIN), "fcntl F_SETSIG");
  check(::fcntl(socket, F_SETFL, O_ASYNC | O_NONBLOCK), "fcntl F_SETFL");
}

using Clients = std::map<int, Client>;

void serve(Clients& clients, int socket) {
  const auto found = clients.find(socket);
  if (found == clients.end()) return;  // a signal of a client that has gone
  Step step = Step::done;
  while (step == Step::done) step = echo(found->second);
  if (step == Step::gone) {
    clients.erase(found);
    ::close(socket);
  }
}

void accept_all(Clients& clients, int listener) {
  while (const auto accepted = by_hand::accept_from(listener)) {
    notify(*accepted);
    clients[*accepted] = {*accepted, {}};
    serve(clients, *accepted);  // what came before notify gave no signal
  }
}

int main(int argc, char** argv) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGRTMIN);
  sigaddset(&signals, SIGIO);
  check(::sigprocmask(SIG_BLOCK, &signals, nullptr), "sigprocmask");

  const int listener = by_hand::listen_on(by_hand::port_argument(argc, argv, by_hand::End::server));
  notify(listener);
  by_hand::end_on_signals();
  by_hand::announce("tcp", listener);

  Clients clients;
  // snippet: loop
  while (true) {
    siginfo_t signal{};
    const int number = ::sigwaitinfo(&signals, &signal);
    if (number == -1 && errno != EINTR) by_hand::fail("sigwaitinfo");  // EINTR: it was stopped and continued
    if (number == SIGRTMIN && signal.si_fd != listener) {
      serve(clients, signal.si_fd);
    } else {
      accept_all(clients, listener);
    }
    if (number == SIGIO) {
      for (auto next = clients.begin(); next != clients.end();) serve(clients, (next++)->first);
    }
  }
  // snippet end
}
