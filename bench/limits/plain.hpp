#pragma once

/// What the yardsticks have in common: servers without a framework, of system calls only. They are as good as they can
/// be at the one thing that is measured, and no more than that: errors end the connection or the program.

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace plain {

inline int require(int result, const char* what) {
  if (result < 0) {
    std::perror(what);
    std::exit(1);
  }
  return result;
}

/// A socket with a free port of 127.0.0.1, which others of this program may share if asked for.
inline int bind_to_loopback(int type, bool shared = false) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int socket = require(::socket(AF_INET, type | SOCK_CLOEXEC, 0), "socket");
  const int on = 1;
  if (shared) require(::setsockopt(socket, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on), "SO_REUSEPORT");
  require(::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address), "bind");
  return socket;
}

/// Says which port that is.
inline void announce(const char* scheme, int socket) {
  sockaddr_in address{};
  socklen_t length = sizeof address;
  require(::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &length), "getsockname");
  std::printf("listening on %s://127.0.0.1:%d\n", scheme, ntohs(address.sin_port));
  std::fflush(stdout);
}

/// With `no_delay`, what is accepted has TCP_NODELAY, which it inherits from its listener.
inline int listen_on_loopback(int flags = 0, bool no_delay = false) {
  const int listener = bind_to_loopback(SOCK_STREAM | flags);
  const int on = 1;
  if (no_delay) require(::setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), "TCP_NODELAY");
  require(::listen(listener, SOMAXCONN), "listen");
  announce("tcp", listener);
  return listener;
}

inline bool send_all(int connection, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(connection, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

/// Reads into a buffer and sends back each complete line, until the stream ends or a line does not fit.
inline void echo_lines(int connection) {
  std::array<char, 16384> buffer;
  std::size_t filled = 0;
  while (filled < buffer.size()) {
    const ssize_t received = ::recv(connection, buffer.data() + filled, buffer.size() - filled, 0);
    if (received <= 0) return;
    filled += static_cast<std::size_t>(received);

    std::string_view unread(buffer.data(), filled);
    for (std::size_t end; (end = unread.find('\n')) != unread.npos; unread.remove_prefix(end + 1)) {
      if (!send_all(connection, unread.substr(0, end + 1))) return;
    }
    std::memmove(buffer.data(), unread.data(), unread.size());
    filled = unread.size();
  }
}

}  // namespace plain
