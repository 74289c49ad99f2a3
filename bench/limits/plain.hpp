#pragma once

/// What the yardsticks have in common: servers without a framework, of system calls only. They are as good as they can
/// be at the one thing that is measured, and no more than that: errors end the connection or the program.

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace plain {

/// Listens on a free port of 127.0.0.1 and says where.
inline int listen_on_loopback(int flags = 0) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* const native = reinterpret_cast<sockaddr*>(&address);
  socklen_t length = sizeof address;
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
  if (listener < 0 || ::bind(listener, native, length) != 0 || ::listen(listener, SOMAXCONN) != 0 ||
      ::getsockname(listener, native, &length) != 0) {
    std::perror("cannot listen");
    std::exit(1);
  }
  std::printf("listening on tcp://127.0.0.1:%d\n", ntohs(address.sin_port));
  std::fflush(stdout);
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
