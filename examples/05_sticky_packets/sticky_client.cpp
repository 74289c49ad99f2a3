// Sends each message as it is, and relies on the server to see where it ends. See sticky_server.cpp.
//
//     05_sticky_client [PORT]     with     05_sticky_server [PORT]

#include "conversation.hpp"

// snippet: send
bool send_message(int server, std::string_view message) { return by_hand::send_all(server, message); }
// snippet end

int main(int argc, char** argv) {
  talk_to_server(by_hand::port_argument(argc, argv, by_hand::End::client), send_message);
}
