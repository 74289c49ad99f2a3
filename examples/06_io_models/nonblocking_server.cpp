// Non-blocking I/O: a call returns at once, if need be with "not now" (EAGAIN; in Python, BlockingIOError).
//
//     06_nonblocking_server [PORT]     and     nc 127.0.0.1 9000
//
// So one thread serves all clients, by asking each again and again. Watch what that costs: it uses a whole processor to
// find out that nothing has happened, and says so each second. Asking less often would only trade that for delays.

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <ctime>
#include <iostream>
#include <list>

#include "echo.hpp"
#include "support/by_hand.hpp"

/// Says each second how much processor time it has taken.
class CostReport {
 public:
  void count(bool in_vain) {
    ++rounds_;
    if (in_vain) ++in_vain_;
    const auto now = std::chrono::steady_clock::now();
    const double seconds = std::chrono::duration<double>(now - since_).count();
    if (seconds < 1) return;
    const std::clock_t used = std::clock();  // by this process
    std::clog << static_cast<int>(100 * static_cast<double>(used - used_) / CLOCKS_PER_SEC / seconds)
              << " % of a processor, for " << rounds_ << " rounds, of them " << in_vain_ << " in vain\n";
    *this = {};
  }

 private:
  std::chrono::steady_clock::time_point since_ = std::chrono::steady_clock::now();
  std::clock_t used_ = std::clock();
  long rounds_ = 0;
  long in_vain_ = 0;
};

int main(int argc, char** argv) {
  const int listener = by_hand::listen_on(by_hand::port_argument(argc, argv, by_hand::End::server));
  by_hand::check(::fcntl(listener, F_SETFL, O_NONBLOCK), "fcntl");  // Python's setblocking(False)
  by_hand::end_on_signals();
  by_hand::announce("tcp", listener);

  // snippet: loop
  std::list<Client> clients;
  CostReport cost;
  while (true) {
    bool in_vain = true;
    if (const auto accepted = by_hand::accept_from(listener, SOCK_NONBLOCK)) {
      clients.push_back({*accepted, {}});
      in_vain = false;
    }
    for (auto client = clients.begin(); client != clients.end();) {
      const Step step = echo(*client);
      if (step != Step::would_wait) in_vain = false;
      if (step == Step::gone) {
        ::close(client->socket);
        client = clients.erase(client);
      } else {
        ++client;
      }
    }
    cost.count(in_vain);
  }
  // snippet end
}
