#pragma once

/// The conversation that the programs of this folder have. They differ only in how a message is sent and received.

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>

#include "support/by_hand.hpp"

/// Sends three messages, and shows what the server says it has got. `send_message` returns false if it fails.
inline void talk_to_server(std::uint16_t port, bool (*send_message)(int server, std::string_view message)) {
  const int server = by_hand::connect_to(port);
  // snippet: three messages
  for (const std::string& message : {std::string("hello"), std::string("world"), std::string(2000, 'x')}) {
    if (!send_message(server, message)) by_hand::fail("send");
  }
  std::cout << "sent:         3 messages, of 5, 5 and 2000 bytes" << std::endl;
  // snippet end
  by_hand::check(::shutdown(server, SHUT_WR), "shutdown");

  std::array<char, 4096> buffer{};
  ssize_t received = 0;
  while ((received = by_hand::check(::recv(server, buffer.data(), buffer.size(), 0), "recv")) > 0) {
    std::cout.write(buffer.data(), received);
  }
  ::close(server);
}

/// Receives all messages of a client, and says what they were.
inline std::string report(int client, std::optional<std::string> (*receive_message)(int client)) {
  int messages = 0;
  std::string sizes;
  while (const auto message = receive_message(client)) {
    ++messages;
    sizes += "\n  " + std::to_string(message->size()) + " bytes: " + message->substr(0, 12);
    if (message->size() > 12) sizes += "...";
  }
  return "received:     " + std::to_string(messages) + " messages" + sizes + "\n";
}

/// Serves one client after the other: receives its messages and tells it what they were. `receive_message` returns
/// nothing at the end of the stream.
inline void serve(int listener, std::optional<std::string> (*receive_message)(int client)) {
  while (true) {
    const auto client = by_hand::accept_from(listener);
    if (!client) continue;
    // A server has other things to do, and receives when it comes to it. This one comes to it when the client has sent
    // everything, so that what happens now and then in real life happens here every time. (Or after three seconds: a
    // client cannot send more than the buffers of both systems hold until somebody receives.)
    pollfd sent_all{*client, POLLRDHUP, 0};
    if (::poll(&sent_all, 1, 3000) == -1 && errno != EINTR) by_hand::fail("poll");
    by_hand::send_all(*client, report(*client, receive_message));
    ::close(*client);
  }
}
