/// The address that a datagram is answered from, under every mixin.

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "scene.hpp"
#include "support/network.hpp"

using namespace matrix;
using namespace support;
using namespace sockserv;

namespace {

/// Answers with the address that it was asked at: twice, once by itself, and once as the library does.
struct SaysAddress : DatagramRequestHandler {
  void handle() override {
    const std::string host = request.sent_to().host();
    socket.sendto(host, client_address);
    wfile.write(host);
  }
};

/// Several clients ask at a time, each of which takes answers only from the address that it asks.
void answers_from_where_it_was_asked(const Scene& scene, const std::vector<std::string>& hosts) {
  std::vector<std::unique_ptr<DatagramClient>> clients;
  for (const std::string& host : hosts) {
    clients.push_back(std::make_unique<DatagramClient>(Address(host, scene.server->server_address().port())));
    clients.back()->connect();
  }
  for (int round = 0; round < 3; ++round) {
    for (const auto& client : clients) client->send("x");
    for (std::size_t i = 0; i < hosts.size(); ++i) {
      CHECK(clients[i]->receive() == hosts[i]);
      CHECK(clients[i]->receive() == hosts[i]);
    }
  }
}

#define DATAGRAM_SERVERS FAMILY(UDP, SaysAddress)

TEST_CASE_TEMPLATE("answers from the IPv4 address that it was asked at", Server, DATAGRAM_SERVERS) {
  answers_from_where_it_was_asked(stage<Server>({}, Address("", 0)), {"127.0.0.2", "127.0.0.1", "127.0.0.3"});
}
TEST_CASE_TEMPLATE("answers from the IPv6 address that it was asked at", Server, DATAGRAM_SERVERS) {
  REQUIRE_NETWORK();
  const Network network;
  for (const std::string address : {"fd00::2/128", "fd00::3/128"}) network.add_address(address, "lo");
  const Network::Visit visit(network);
  answers_from_where_it_was_asked(stage<Server>({}, Address("::", 0)), {"fd00::2", "::1", "fd00::3"});
}
TEST_CASE_TEMPLATE("answers from the address that it was asked at, IPv4 or IPv6", Server, DATAGRAM_SERVERS) {
  answers_from_where_it_was_asked(stage<Server>({.dual_stack = true}, Address("::", 0)),
                                  {"127.0.0.2", "::1", "127.0.0.3"});
}

}  // namespace

TYPE_TO_STRING(sockserv::UDPServer<SaysAddress>);
TYPE_TO_STRING(sockserv::ThreadingUDPServer<SaysAddress>);
TYPE_TO_STRING(sockserv::ForkingUDPServer<SaysAddress>);
TYPE_TO_STRING(sockserv::ThreadPoolUDPServer<SaysAddress>);
TYPE_TO_STRING(sockserv::FiberUDPServer<SaysAddress>);
TYPE_TO_STRING(sockserv::PreForkingUDPServer<SaysAddress>);
TYPE_TO_STRING(sockserv::PreForkingFiberUDPServer<SaysAddress>);
