#pragma once

/// The echo that the servers of this folder have in common. It never asks how its calls wait: that is the model.

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <string>

/// One client, and what has come from it that it has not taken back yet.
struct Client {
  int socket;
  std::string unsent;
};

enum class Step {
  done,        ///< Bytes were received, sent, or both.
  would_wait,  ///< There is nothing to receive, or no room to send. (EAGAIN; only of sockets that do not wait.)
  gone,        ///< The client sends no more, or the connection is broken.
};

// snippet: echo
/// Sends back what has not been sent yet, or else what there is to receive. A client that takes nothing is not read
/// from: otherwise it could fill this machine's memory.
inline Step echo(Client& client) {
  if (client.unsent.empty()) {
    std::array<char, 4096> buffer{};
    const ssize_t received = ::recv(client.socket, buffer.data(), buffer.size(), 0);
    if (received == 0) return Step::gone;
    if (received == -1) return errno == EAGAIN ? Step::would_wait : Step::gone;
    client.unsent.assign(buffer.data(), static_cast<std::size_t>(received));
  }
  const ssize_t sent = ::send(client.socket, client.unsent.data(), client.unsent.size(), MSG_NOSIGNAL);
  if (sent == -1) return errno == EAGAIN ? Step::would_wait : Step::gone;
  client.unsent.erase(0, static_cast<std::size_t>(sent));
  return Step::done;
}
// snippet end
