// Sends the length of each message before it. See framed_server.cpp.
//
//     05_framed_client [PORT]     with     05_framed_server [PORT]

#include <arpa/inet.h>

#include "conversation.hpp"

// snippet: send
bool send_message(int server, std::string_view message) {
  const std::uint32_t length = htonl(static_cast<std::uint32_t>(message.size()));
  std::string frame(reinterpret_cast<const char*>(&length), sizeof length);
  frame += message;  // in one piece, so that the four bytes do not travel alone
  return by_hand::send_all(server, frame);
}
// snippet end

int main(int argc, char** argv) {
  talk_to_server(by_hand::port_argument(argc, argv, by_hand::End::client), send_message);
}
