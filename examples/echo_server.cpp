// An echo server: every family of sockets, every mixin.
//
//     echo_server                                             and     nc 127.0.0.1 9000
//     echo_server --mixin forking --listen udp://[::1]:9000   and     nc -u ::1 9000
//     echo_server --listen unix:///tmp/echo                   and     nc -U /tmp/echo
//     echo_server --listen unixgram:///tmp/echo               and     nc -Uu /tmp/echo
//
// Open two clients at a time. Without a mixin the second one waits until the first has closed; with one, both
// are served at once. The handlers do not change.
//
// Two echo servers over UDP can keep each other busy: one packet that claims to come from the other is enough, and goes
// back and forth until it is lost. This is the known loop of RFC 862's service (CERT CA-1996-01). What an echo server
// sends back is a valid question by nature, so the content of a packet cannot tell. This server ignores senders that
// are likely to be servers: those with a port below 1024, where the known services are, and those with its own port
// number. That does not stop a loop with a server at another port. Do not run a UDP echo server on an open network.

#include <sockserv.hpp>
#include <string_view>

#include "support/serve.hpp"

struct EchoLines : sockserv::StreamRequestHandler {
  void handle() override {
    for (std::string_view line : rfile) wfile.write(line);
  }
};

/// Returns true if a packet's sender is likely to be a server, which may answer the answer.
bool is_likely_server(const sockserv::Address& sender, const sockserv::Address& self) {
  return sender.is_ip() && (sender.port() < 1024 || sender.port() == self.port());
}

struct EchoPacket : sockserv::DatagramRequestHandler {
  void handle() override {
    if (!is_likely_server(client_address, server.server_address())) wfile.write(packet);
  }
};

int main(int argc, char** argv) {
  return example::serve_any<EchoLines, EchoPacket>(
      argc, argv, {.purpose = "Sends every line or packet back.", .listen = "tcp://127.0.0.1:9000"});
}
