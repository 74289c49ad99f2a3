#pragma once

/// What many tests serve.

#include <sockserv/handler.hpp>
#include <string_view>

namespace support {

/// Says hello, and that is all.
struct Greets : sockserv::StreamRequestHandler {
  void handle() override { wfile.write("hello\n"); }
};

/// Sends each line back.
struct Echo : sockserv::StreamRequestHandler {
  void handle() override {
    for (const std::string_view line : rfile) wfile.write(line);
  }
};

/// Sends each packet back.
struct EchoPacket : sockserv::DatagramRequestHandler {
  void handle() override { wfile.write(packet); }
};

/// Says that it is here, and stays until the client says something or goes.
struct Lingers : sockserv::StreamRequestHandler {
  void handle() override {
    wfile.write("here\n");
    rfile.readline();
  }
};

}  // namespace support
