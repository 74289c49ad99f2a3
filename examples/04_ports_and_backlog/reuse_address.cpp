// "Address already in use", and what cures it: an experiment that runs by itself.
//
//     04_reuse_address
//
// Of a connection, the end that closes first keeps it in mind for a minute, lest bytes that are late on their way reach
// the next connection between the same two ports. That is TIME_WAIT. If it was the server's end, the server cannot have
// its port back that long. With SO_REUSEADDR it can. Watch that both need the option, the server that left the
// connection behind and the one that comes after it, and that it does not let two servers listen at the same time.

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <sstream>
#include <string>
#include <thread>

#include "support/by_hand.hpp"

using by_hand::check;

/// A listening socket, or -1 and errno.
int start_server(std::uint16_t port, bool reuse_address) {
  const int listener = check(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
  // snippet: the cure
  const int on = reuse_address ? 1 : 0;
  check(::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), "setsockopt SO_REUSEADDR");  // before bind
  // snippet end
  const sockaddr_in address = by_hand::loopback(port);
  if (::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
      ::listen(listener, SOMAXCONN) == 0) {
    return listener;
  }
  const int error = errno;
  ::close(listener);
  errno = error;
  return -1;
}

/// True if /proc/net/tcp lists a connection of the port in TIME_WAIT. It gives addresses and states as hexadecimals.
bool in_time_wait(std::uint16_t port) {
  std::ifstream table("/proc/net/tcp");
  if (!table) by_hand::fail("open", "/proc/net/tcp");
  std::ostringstream port_column;
  port_column << ':' << std::uppercase << std::hex << std::setw(4) << std::setfill('0') << port;
  std::string number;
  std::string local;
  std::string remote;
  std::string state;
  for (std::string line; std::getline(table, line);) {
    std::istringstream(line) >> number >> local >> remote >> state;
    if (local.ends_with(port_column.str()) && state == "06") return true;
  }
  return false;
}

/// Runs a server that has one client and hangs up first; returns its port.
std::uint16_t server_that_hung_up(bool reuse_address) {
  // snippet: hang up first
  const int listener = check(start_server(0, reuse_address), "listen");
  const std::uint16_t port = ntohs(by_hand::local_address(listener).sin_port);
  const int client = by_hand::connect_to(port);
  const int accepted = check(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC), "accept");
  ::close(accepted);  // the server first
  ::close(client);
  ::close(listener);
  // snippet end
  return port;
}

/// The port of a server that left a connection in TIME_WAIT. On a machine that has as many of them as the system keeps,
/// one more is forgotten at once; then it takes another attempt.
std::uint16_t port_in_time_wait(bool reuse_address) {
  using namespace std::chrono_literals;
  const auto give_up = std::chrono::steady_clock::now() + 20s;
  do {
    const std::uint16_t port = server_that_hung_up(reuse_address);
    const auto forgotten = std::chrono::steady_clock::now() + 100ms;
    do {  // the end of a connection takes a few packets
      if (in_time_wait(port)) {
        std::cout << "A server " << (reuse_address ? "with" : "without") << " SO_REUSEADDR has ended; port " << port
                  << " is in TIME_WAIT.\n";
        return port;
      }
      std::this_thread::sleep_for(1ms);
    } while (std::chrono::steady_clock::now() < forgotten);
  } while (std::chrono::steady_clock::now() < give_up);
  std::cerr << "no connection stays in TIME_WAIT; see tcp_max_tw_buckets in tcp(7)\n";
  std::exit(1);
}

/// Tries to start a server, and says what came of it.
int try_to_start(const char* who, std::uint16_t port, bool reuse_address) {
  const int listener = start_server(port, reuse_address);
  const char* const result = listener == -1 ? std::strerror(errno) : "listening";
  std::cout << "  " << who << (reuse_address ? ", with" : ", without") << " SO_REUSEADDR: " << result << '\n';
  return listener;
}

int main(int argc, char** argv) {
  if (argc > 1) by_hand::exit_usage(argc, argv, "");
  std::uint16_t port = port_in_time_wait(false);
  for (const bool reuse_address : {false, true}) try_to_start("the next server", port, reuse_address);

  port = port_in_time_wait(true);
  try_to_start("the next server", port, false);
  const int next = try_to_start("the next server", port, true);
  try_to_start("one more beside it", port, true);
  ::close(next);
}
