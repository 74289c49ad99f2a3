// A Unix stream server: TCP's calls, for processes of one machine.
//
//     03_unix_stream_server [PATH]     and     03_unix_stream_client [PATH]     or     nc -U /tmp/by_hand.stream
//
// After bind, `ls -l /tmp/by_hand.stream` shows the socket, as a file whose permissions say who may connect. The rest
// is as in 01; only, this server knows for certain which process and user each client is, since the system tells it.

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <iostream>

#include "path.hpp"

using by_hand::check;

void echo(int client) {
  std::array<char, 1024> buffer{};
  ssize_t received = 0;
  while ((received = ::recv(client, buffer.data(), buffer.size(), 0)) > 0) {
    if (!by_hand::send_all(client, {buffer.data(), static_cast<std::size_t>(received)})) return;
  }
}

int main(int argc, char** argv) {
  const std::string_view path = path_argument(argc, argv, "/tmp/by_hand.stream");

  // snippet: listen
  const int listener = check(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
  bind_to_path(listener, path);
  by_hand::end_on_signals(path);  // which removes the path
  check(::listen(listener, SOMAXCONN), "listen");
  // snippet end
  std::cout << "listening on unix://" << path << std::endl;

  while (true) {
    const auto client = by_hand::accept_from(listener);
    if (!client) continue;
    // snippet: who it is
    ucred peer{};
    socklen_t length = sizeof peer;
    check(::getsockopt(*client, SOL_SOCKET, SO_PEERCRED, &peer, &length), "getsockopt SO_PEERCRED");
    std::clog << "process " << peer.pid << " of user " << peer.uid << " has connected\n";
    // snippet end
    echo(*client);
    ::close(*client);
  }
}
