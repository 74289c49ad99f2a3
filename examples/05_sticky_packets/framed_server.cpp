// The same conversation, right: four bytes before each message say how long it is.
//
//     05_framed_server [PORT]     and     05_framed_client [PORT]
//
// Watch that the server gets what the client sent, whatever pieces it arrives in. `diff` this with sticky_server.cpp:
// all the difference is in receive_message. (In Python the four bytes are struct.pack("!I", length).) The library has
// this ready to use: sockserv/layer/framing.hpp.

#include <arpa/inet.h>

#include <cstring>

#include "conversation.hpp"

// snippet: receive exactly
/// Fills the buffer, in as many calls as that takes; returns how much of it, which is less if the stream ends before.
std::size_t receive_exactly(int client, char* buffer, std::size_t size) {
  std::size_t filled = 0;
  while (filled < size) {
    const ssize_t received = ::recv(client, buffer + filled, size - filled, 0);
    if (received <= 0) break;
    filled += static_cast<std::size_t>(received);
  }
  return filled;
}
// snippet end

/// An end that is none between two messages.
std::nullopt_t refuse(std::string_view why) {
  std::clog << "a client " << why << '\n';
  return std::nullopt;
}

// snippet: receive
std::optional<std::string> receive_message(int client) {
  std::array<char, 4> prefix{};
  const std::size_t received = receive_exactly(client, prefix.data(), prefix.size());
  if (received == 0) return {};  // the client sends no more
  if (received < prefix.size()) return refuse("has gone within a message");

  std::uint32_t length = 0;
  std::memcpy(&length, prefix.data(), sizeof length);
  length = ntohl(length);  // over the network the high byte goes first
  // Four bytes can announce 4 GiB, and anybody can send four bytes.
  if (length > (1 << 20)) return refuse("announces " + std::to_string(length) + " bytes; the limit is 1 MiB");

  std::string message(length, '\0');
  if (receive_exactly(client, message.data(), length) < length) return refuse("has gone within a message");
  return message;
}
// snippet end

int main(int argc, char** argv) {
  const int listener = by_hand::listen_on(by_hand::port_argument(argc, argv, by_hand::End::server));
  by_hand::end_on_signals();
  by_hand::announce("tcp", listener);
  serve(listener, receive_message);
}
