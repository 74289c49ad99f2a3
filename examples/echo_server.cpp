// An echo server: every family of sockets, every mixin.
//
//     echo_server                                             and     nc 127.0.0.1 9000
//     echo_server --mixin forking --listen udp://[::1]:9000   and     nc -u ::1 9000
//     echo_server --listen unix:///tmp/echo                   and     nc -U /tmp/echo
//     echo_server --listen unixgram:///tmp/echo               and     nc -Uu /tmp/echo
//
// Open two clients at a time. Without a mixin the second one waits until the first has closed; with one, both
// are served at once. The handlers do not change.

#include <sockserv.hpp>
#include <string_view>

#include "support/serve.hpp"

struct EchoLines : sockserv::StreamRequestHandler {
  void handle() override {
    for (std::string_view line : rfile) wfile.write(line);
  }
};

struct EchoPacket : sockserv::DatagramRequestHandler {
  void handle() override { wfile.write(packet); }
};

int main(int argc, char** argv) {
  return example::serve_any<EchoLines, EchoPacket>(
      argc, argv, {.purpose = "Sends every line or packet back.", .listen = "tcp://127.0.0.1:9000"});
}
