#pragma once

/// The names of Unix sockets, which are paths: what is different from ports.

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <string_view>

#include "support/by_hand.hpp"

/// The path of a program that is called as PROGRAM [PATH].
inline std::string_view path_argument(int argc, char** argv, std::string_view otherwise) {
  const std::string_view path = argc == 1 ? otherwise : argv[1];
  const bool fits = !path.empty() && path.size() < sizeof(sockaddr_un::sun_path);  // 107 bytes and a zero
  if (argc > 2 || !fits || path.starts_with('-')) by_hand::exit_usage(argc, argv, "[PATH]  (of 107 bytes at the most)");
  return path;
}

inline sockaddr_un unix_address(std::string_view path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  return address;
}

// snippet: bind to a path
/// Binds a socket to a path, which bind makes a file. Nothing removes that file but unlink: it outlives a server that
/// was killed, and is in the way of the next. A server that is alive has its socket open, and the kernel knows: a
/// datagram socket that connects to it finds either nobody (ECONNREFUSED) or a socket, perhaps of another type
/// (EPROTOTYPE). The lock on the folder keeps two servers from taking over one path at the same time.
inline void bind_to_path(int socket, std::string_view path) {
  const sockaddr_un address = unix_address(path);
  const auto* const name = reinterpret_cast<const sockaddr*>(&address);
  if (::bind(socket, name, sizeof address) == 0) return;
  if (errno != EADDRINUSE) by_hand::fail("bind", path);

  const std::string folder(path.substr(0, path.find_last_of('/') + 1));
  const int lock =
      by_hand::check(::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC), "open", folder);
  by_hand::check(::flock(lock, LOCK_EX | LOCK_NB), "flock", folder);
  struct stat file{};
  const bool is_socket = ::lstat(address.sun_path, &file) == 0 && S_ISSOCK(file.st_mode);  // anything else is not ours
  const int probe = by_hand::check(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
  const bool is_open = ::connect(probe, name, sizeof address) == 0 || errno != ECONNREFUSED;
  ::close(probe);
  if (is_socket && !is_open) by_hand::check(::unlink(address.sun_path), "unlink", path);
  by_hand::check(::bind(socket, name, sizeof address), "bind", path);
  ::close(lock);
}
// snippet end
