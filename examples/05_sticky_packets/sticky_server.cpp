// Takes each recv for a message, which is wrong: TCP is a stream of bytes, without any trace of how they were sent.
//
//     05_sticky_server [PORT]     and     05_sticky_client [PORT]
//
// Watch the client: it sends three messages, and the server gets two others. The first holds two short messages and the
// beginning of the long one, glued together ("sticky packets"); the second holds the rest. On another day it may be
// three, or five. The sender's system may gather small messages into one packet (Nagle's algorithm), the network may
// cut a long one, and what has arrived before the server comes to receive it is all one, up to the size of the buffer
// below.

#include "conversation.hpp"

// snippet: receive
std::optional<std::string> receive_message(int client) {
  std::string message(1024, '\0');
  const ssize_t received = ::recv(client, message.data(), message.size(), 0);
  if (received <= 0) return {};  // the client sends no more, or has gone
  message.resize(static_cast<std::size_t>(received));
  return message;
}
// snippet end

int main(int argc, char** argv) {
  const int listener = by_hand::listen_on(by_hand::port_argument(argc, argv, by_hand::End::server));
  by_hand::end_on_signals();
  by_hand::announce("tcp", listener);
  serve(listener, receive_message);
}
