/// Two threads with an epoll loop each, and the ways in which they can share the accepting:
///
///     plain_loops shared   one listener in both sets; who is told of it takes a lock, if it is free, and accepts all
///     plain_loops each     a listener for each, bound with SO_REUSEPORT; the kernel chooses by a hash
///     plain_loops handing  one thread accepts all, and hands every second connection to the other

#include <sys/epoll.h>

#include <atomic>
#include <cerrno>
#include <mutex>
#include <string_view>
#include <thread>

#include "plain.hpp"

namespace {

constexpr std::size_t loops = 2;
std::array<int, loops> sets;
std::mutex accepting;
std::atomic<std::size_t> accepted = 0;

void watch(int epoll, int descriptor) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;
  event.data.fd = descriptor;
  if (::epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) != 0) ::close(descriptor);
}

void accept_all(std::size_t self, int listener, std::string_view strategy) {
  std::unique_lock lock(accepting, std::defer_lock);
  if (strategy == "shared" && !lock.try_lock()) return;
  for (;;) {
    const int connection = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (connection < 0) return;
    watch(sets[strategy == "handing" ? accepted++ % loops : self], connection);
  }
}

void echo(int connection) {
  std::array<char, 16384> buffer;
  const ssize_t received = ::recv(connection, buffer.data(), buffer.size(), 0);
  if (received < 0 && errno == EAGAIN) return;
  if (received <= 0 ||
      ::send(connection, buffer.data(), static_cast<std::size_t>(received), MSG_NOSIGNAL) != received) {
    ::close(connection);
  }
}

void serve(std::size_t self, int listener, std::string_view strategy) {
  std::array<epoll_event, 256> events;
  for (;;) {
    const int count = ::epoll_wait(sets[self], events.data(), events.size(), -1);
    for (int i = 0; i < count; ++i) {
      const int ready = events[static_cast<std::size_t>(i)].data.fd;
      if (ready == listener) {
        accept_all(self, listener, strategy);
      } else {
        echo(ready);
      }
    }
  }
}

/// Another listener for the same port, which the first must have been bound for too.
int listen_as_well(int listener) {
  sockaddr_in address{};
  socklen_t length = sizeof address;
  auto* const native = reinterpret_cast<sockaddr*>(&address);
  plain::require(::getsockname(listener, native, &length), "getsockname");
  const int another = plain::require(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket");
  const int on = 1;
  plain::require(::setsockopt(another, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on), "SO_REUSEPORT");
  plain::require(::bind(another, native, length), "bind");
  plain::require(::listen(another, SOMAXCONN), "listen");
  return another;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view strategy = argc == 2 ? argv[1] : "";
  if (strategy != "shared" && strategy != "each" && strategy != "handing") {
    std::fputs("usage: plain_loops shared|each|handing\n", stderr);
    return 2;
  }
  for (int& set : sets) set = plain::require(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
  const int listener = plain::bind_to_loopback(SOCK_STREAM | SOCK_NONBLOCK, strategy == "each");
  plain::require(::listen(listener, SOMAXCONN), "listen");
  const int second = strategy == "each" ? listen_as_well(listener) : listener;
  watch(sets[0], listener);
  if (strategy != "handing") watch(sets[1], second);
  plain::announce("tcp", listener);
  std::thread([=] { serve(1, second, strategy); }).detach();
  serve(0, listener, strategy);
}
