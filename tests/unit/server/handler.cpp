#include <sockserv/handler.hpp>  // first, to test that it is self-contained

#include <doctest/doctest.h>

#include <sockserv/server/udp.hpp>
#include <sockserv/testing.hpp>
#include <stdexcept>

#include "support/support.hpp"

namespace {

using namespace sockserv;
using sockserv::testing::converse;

struct Plain : StreamRequestHandler {
  void handle() override {}
};

TEST_CASE("a handler constructed by anyone but its server throws, and says why") {
  CHECK_THROWS_WITH_AS(Plain(), doctest::Contains("constructed by its server"), std::logic_error);
  struct Nested : StreamRequestHandler {
    void handle() override { Plain another; }
  };
  CHECK_THROWS_AS(converse<Nested>(""), std::logic_error);
  CHECK_THROWS_AS(Plain(), std::logic_error);
}

TEST_CASE("request, client_address and server are there in the constructor") {
  struct Early : StreamRequestHandler {
    Early() : seen(client_address.to_string() + (&connection == &request ? " same" : " other")) {}
    void handle() override { wfile.write(seen); }
    std::string seen;
  };
  CHECK(converse<Early>("", {.client_address = {"192.0.2.7", 7}}) == "192.0.2.7:7 same");
}

TEST_CASE("a factory may construct several handlers, one inside the other") {
  struct Inner : StreamRequestHandler {
    void handle() override { wfile.write("inner"); }
  };
  struct Outer : StreamRequestHandler {
    void handle() override {
      wfile.write("outer ");
      inner.run();
    }
    Inner inner;
  };
  CHECK(converse<Outer>("") == "outer inner");
}

TEST_CASE("a factory that returns nothing is an error") {
  TCPServer<Plain> server({"127.0.0.1", 0}, {.bind_and_activate = false});
  server.handler_factory = [] { return std::unique_ptr<Plain>(); };
  CHECK_THROWS_WITH_AS(converse(server, ""), "handler_factory returned no handler", std::logic_error);
}

TEST_CASE("a plain datagram handler answers by its request") {
  struct Answer : BaseRequestHandler<Datagram> {
    void handle() override { request.socket().sendto(request.packet() + "!", client_address); }
  };
  CHECK(converse<Answer>("hi") == "hi!");
}

TEST_CASE("the settings of a stream handler reach the connection") {
  struct Settings : StreamRequestHandler {
    Settings() {
      wbufsize = 100;
      timeout = std::chrono::seconds(5);
    }
    void handle() override {
      wfile.write("x");
      CHECK(wfile.pending() == "x");
      CHECK(request.gettimeout() == std::chrono::seconds(5));
    }
  };
  CHECK(converse<Settings>("") == "x");
}

TEST_CASE("one handler body serves streams and datagrams") {
  CHECK(converse<Plain>("").empty());
  struct Lines {
    static void copy(InputFile& in, OutputFile& out) {
      for (const std::string_view line : in) out.write(line);
    }
  };
  struct Stream : StreamRequestHandler {
    void handle() override { Lines::copy(rfile, wfile); }
  };
  struct Datagram : DatagramRequestHandler {
    void handle() override { Lines::copy(rfile, wfile); }
  };
  CHECK(converse<Stream>("a\nb\n") == "a\nb\n");
  CHECK(converse<Datagram>("a\nb\n") == "a\nb\n");
}

}  // namespace
