/// Messages under every mixin: the same handler, the same bytes.

#include <doctest/doctest.h>

#include <string>

#include "scene.hpp"
#include "support/messages.hpp"

namespace {

using namespace matrix;
using namespace support;
using namespace sockserv;

struct Echo : MessageRequestHandler {
  void handle() override {
    for (auto& message : messages) messages.send(message);
  }
};

TEST_CASE_TEMPLATE("echoes messages", Server, FAMILY(TCP, Echo), FAMILY(UnixStream, Echo)) {
  const Scene scene = stage<Server>();
  const std::string messages = framed("") + framed("two\nlines\n") + framed(std::string(40'000, 'x')) + framed("end");
  StreamClient client(scene.server->server_address());
  client.send(messages.substr(0, 6));
  client.send(messages.substr(6));
  client.shutdown_write();
  CHECK(client.read_all() == messages);
}

TEST_CASE_TEMPLATE("survives a peer that vanishes in a message", Server, FAMILY(TCP, Echo), FAMILY(UnixStream, Echo)) {
  const Scene scene = stage<Server>();
  const int before = events()->peers_gone;
  StreamClient client(scene.server->server_address());
  client.send(framed("hello").substr(0, 6));
  client.shutdown_write();
  CHECK(client.read_all().empty());
  CHECK(eventually([&] { return events()->peers_gone == before + 1; }));
}

}  // namespace

// So that a case says which server it is about.
TYPE_TO_STRING(TCPServer<Echo>);
TYPE_TO_STRING(ThreadingTCPServer<Echo>);
TYPE_TO_STRING(ForkingTCPServer<Echo>);
TYPE_TO_STRING(ThreadPoolTCPServer<Echo>);
TYPE_TO_STRING(FiberTCPServer<Echo>);
TYPE_TO_STRING(PreForkingTCPServer<Echo>);
TYPE_TO_STRING(PreForkingFiberTCPServer<Echo>);
TYPE_TO_STRING(UnixStreamServer<Echo>);
TYPE_TO_STRING(ThreadingUnixStreamServer<Echo>);
TYPE_TO_STRING(ForkingUnixStreamServer<Echo>);
TYPE_TO_STRING(ThreadPoolUnixStreamServer<Echo>);
TYPE_TO_STRING(FiberUnixStreamServer<Echo>);
TYPE_TO_STRING(PreForkingUnixStreamServer<Echo>);
TYPE_TO_STRING(PreForkingFiberUnixStreamServer<Echo>);
