/// From which of a machine's addresses a datagram server answers, and what it tells its handlers of them.

#include <doctest/doctest.h>
#include <net/if.h>
#include <netinet/in.h>

#include <cstring>
#include <memory>
#include <optional>
#include <sockserv.hpp>
#include <string>
#include <vector>

#include "support/network.hpp"
#include "support/serving.hpp"
#include "support/support.hpp"

namespace {

using namespace sockserv;
using namespace support;

std::string interface_name(unsigned index) {
  std::string name(IF_NAMESIZE, '\0');
  return ::if_indextoname(index, name.data()) ? name.c_str() : "unknown";
}

/// Answers with where the datagram arrived: twice, once as the library does, and once by itself.
struct SaysWhere : DatagramRequestHandler {
  void handle() override {
    const std::string where = request.sent_to().host() + " " + interface_name(request.interface_index()) + ", from " +
                              request.local_address().host();
    CHECK(request.sent_to().port() == server.server_address().port());
    CHECK(request.local_address().port() == server.server_address().port());
    socket.sendto(where, client_address);
    wfile.write(where);
  }
};

/// The server's port at another of the machine's addresses.
Address at(const AbstractServer& server, std::string_view host) { return {host, server.server_address().port()}; }

/// What a client hears that asks there and takes answers from nowhere else.
template <class Server>
std::string asked_at(Server& server, const std::string& host) {
  CAPTURE(host);
  DatagramClient client(at(server, host));
  client.connect();
  client.send("x");
  server.handle_request();
  const std::string heard = client.receive();
  CHECK(client.receive() == heard);
  return heard;
}

/// What a client hears that asks many at a time, and where the answers come from.
struct Answer {
  std::string content;
  Address from;
};
Answer receive_answer(const DatagramClient& client) {
  std::string content(1000, '\0');
  sockaddr_storage storage{};
  auto* const native = reinterpret_cast<sockaddr*>(&storage);
  socklen_t length = sizeof storage;
  const ssize_t size = ::recvfrom(client.fileno(), content.data(), content.size(), 0, native, &length);
  REQUIRE(size >= 0);
  content.resize(static_cast<std::size_t>(size));
  return {content, Address::from_native(native, length)};
}

void set_option(const DatagramClient& client, int level, int option, int value) {
  REQUIRE(::setsockopt(client.fileno(), level, option, &value, sizeof value) == 0);
}

int option_of(int descriptor, int level, int option) {
  int value = -1;
  socklen_t length = sizeof value;
  REQUIRE(::getsockopt(descriptor, level, option, &value, &length) == 0);
  return value;
}

/// Gives the client a port before it sends anything.
void set_own_port(const DatagramClient& client) {
  const Address any("", 0);
  REQUIRE(::bind(client.fileno(), any.data(), any.size()) == 0);
}

/// A socket that a service manager would hand over.
detail::Descriptor bound_socket(const Address& address) {
  detail::Descriptor socket(::socket(address.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0));
  REQUIRE(::bind(socket.get(), address.data(), address.size()) == 0);
  return socket;
}

TEST_CASE("a datagram is answered from the address that it was sent to, and the handler can see that address") {
  UDPServer<SaysWhere> server(Address("", 0));
  CHECK(asked_at(server, "127.0.0.2") == "127.0.0.2 lo, from 127.0.0.2");
  CHECK(asked_at(server, "127.0.0.1") == "127.0.0.1 lo, from 127.0.0.1");
}

TEST_CASE("a dual-stack server answers both kinds of clients from the address that they asked") {
  UDPServer<SaysWhere> server(Address("::", 0), {.dual_stack = true});
  CHECK(asked_at(server, "127.0.0.2") == "127.0.0.2 lo, from 127.0.0.2");
  CHECK(asked_at(server, "::1") == "::1 lo, from ::1");
}

TEST_CASE("a server on an adopted socket answers from the address that it was asked at, from the first datagram on") {
  for (const char* const host : {"0.0.0.0", "::"}) {
    CAPTURE(host);
    detail::Descriptor socket = bound_socket(Address(host, 0));
    const Address own = detail::ServerSocket::address_of(socket.get());
    DatagramClient early(Address("127.0.0.2", own.port()));
    early.connect();
    early.send("x");
    UDPServer<EchoPacket> server(AdoptedSocket{socket.release()});
    server.handle_request();
    CHECK(early.receive() == "x");
    early.send("y");
    server.handle_request();
    CHECK(early.receive() == "y");
  }
}

TEST_CASE(
    "what came before a socket was adopted, by multicast or broadcast, is answered from an address of a machine") {
  detail::Descriptor socket = bound_socket(Address("", 0));
  DatagramClient client(Address("127.255.255.255", detail::ServerSocket::address_of(socket.get()).port()));
  set_option(client, SOL_SOCKET, SO_BROADCAST, 1);
  client.send("x");
  UDPServer<EchoPacket> server(AdoptedSocket{socket.release()});
  server.handle_request();
  CHECK(receive_answer(client).from == at(server, "127.0.0.1"));
}

TEST_CASE("datagrams that are received together are answered each from its own address") {
  UDPServer<SaysWhere> server(Address("", 0));
  std::vector<std::unique_ptr<DatagramClient>> clients;
  const auto host = [](int i) { return "127.0.0." + std::to_string(i + 1); };
  for (int i = 0; i < 20; ++i) {
    clients.push_back(std::make_unique<DatagramClient>(at(server, host(i))));
    clients.back()->connect();
    clients.back()->send("x");
  }
  const ServerThread background(server);
  for (int i = 0; i < 20; ++i) {
    CHECK(clients[static_cast<std::size_t>(i)]->receive() == host(i) + " lo, from " + host(i));
  }
}

TEST_CASE("a datagram that is cut says so on every address, too") {
  struct Describe : DatagramRequestHandler {
    void handle() override { wfile.write(std::to_string(packet.size()) + (request.truncated() ? " truncated" : "")); }
  };
  UDPServer<Describe> server(Address("", 0), {.max_packet_size = 10});
  DatagramClient client(at(server, "127.0.0.2"));
  client.connect();
  client.send(std::string(100, 'x'));
  server.handle_request();
  CHECK(client.receive() == "10 truncated");
}

TEST_CASE("a datagram sent to a broadcast address is answered from an address of the interface") {
  for (const char* const host : {"0.0.0.0", "127.255.255.255"}) {
    CAPTURE(host);
    UDPServer<SaysWhere> server(Address(host, 0));
    DatagramClient client(at(server, "127.255.255.255"));
    set_option(client, SOL_SOCKET, SO_BROADCAST, 1);
    client.send("x");
    server.handle_request();
    const Answer answer = receive_answer(client);
    CHECK(answer.content == "127.255.255.255 lo, from 127.0.0.1");
    CHECK(answer.from == at(server, "127.0.0.1"));
  }
}

TEST_CASE("what goes to the host that asked leaves from where it asked, unless the handler says from where") {
  static std::optional<Address> from;
  static std::optional<Address> other;
  struct Passes : DatagramRequestHandler {
    void handle() override { from ? socket.sendto(packet, *other, *from) : socket.sendto(packet, *other); }
  };
  UDPServer<Passes> server(Address("", 0));
  DatagramClient asker(at(server, "127.0.0.2"));
  DatagramClient hearer(at(server, "127.0.0.1"));
  set_own_port(hearer);
  other = Address("127.0.0.1", hearer.address().port());
  const auto source_if_sent_from = [&](const std::optional<Address>& named) {
    from = named;
    asker.send("x");
    server.handle_request();
    return receive_answer(hearer).from;
  };
  CHECK(source_if_sent_from(std::nullopt) == at(server, "127.0.0.2"));
  CHECK(source_if_sent_from(Address("127.0.0.3", 0)) == at(server, "127.0.0.3"));
  CHECK(source_if_sent_from(Address()) == at(server, "127.0.0.1"));
  CHECK(source_if_sent_from(Address("", 0)) == at(server, "127.0.0.1"));
}

TEST_CASE("sending from what is no address of this machine is an error that names both ends") {
  static std::string message;
  static std::vector<std::string> errors;
  struct Lies : DatagramRequestHandler {
    void handle() override {
      for (const char* const from : {"198.51.100.1", "::1"}) {
        error_code error;
        socket.sendto(packet, client_address, Address(from, 0), error);
        errors.push_back(error.message());
      }
      try {
        socket.sendto(packet, client_address, Address("198.51.100.1", 7));
      } catch (const boost::system::system_error& error) {
        message = error.what();
      }
    }
  };
  UDPServer<Lies> server(Address("", 0));
  DatagramClient client(at(server, "127.0.0.1"));
  client.send("x");
  server.handle_request();
  REQUIRE(errors.size() == 2);
  CHECK((errors[0] == "Network is unreachable" || errors[0] == "Invalid argument"));  // as the kernel's version has it
  CHECK(errors[1] == "Invalid argument");
  CHECK(message.find("sendto 127.0.0.1:" + std::to_string(client.address().port()) + " from 198.51.100.1:7") == 0);
  CHECK(client.receive_soon() == std::nullopt);
}

TEST_CASE("what goes to another host than the one that asked leaves from where the system chooses") {
  static std::optional<Address> other;
  struct Passes : DatagramRequestHandler {
    void handle() override { socket.sendto(packet, *other); }
  };
  UDPServer<Passes> server(Address("::", 0), {.dual_stack = true});
  DatagramClient ipv6(at(server, "::1"));
  DatagramClient ipv4(at(server, "127.0.0.2"));
  ipv4.send("x");
  ipv6.send("y");
  other = Address("::1", ipv6.address().port());
  server.handle_request();
  CHECK(receive_answer(ipv6).content == "x");
  other = Address("::ffff:127.0.0.1", ipv4.address().port());
  server.handle_request();
  CHECK(receive_answer(ipv4).content == "y");
}

TEST_CASE("a server that is bound to one address does not ask the kernel where datagrams arrived") {
  UDPServer<SaysWhere> server(loopback());
  CHECK(option_of(server.fileno(), IPPROTO_IP, IP_PKTINFO) == 0);
  CHECK(asked_at(server, "127.0.0.1") == "127.0.0.1 unknown, from 127.0.0.1");
}

TEST_CASE("a datagram of a Unix socket has no address of arrival") {
  struct SaysAll : DatagramRequestHandler {
    void handle() override {
      CHECK(request.sent_to().empty());
      CHECK(request.local_address().empty());
      CHECK(request.interface_index() == 0);
      socket.sendto(packet, client_address, request.local_address());
    }
  };
  const TemporaryFolder folder;
  UnixDatagramServer<SaysAll> server(Address(folder / "server"));
  DatagramClient client(server.server_address());
  client.send("x");
  server.handle_request();
  CHECK(client.receive() == "x");
  CHECK(testing::converse<SaysAll>("x") == "x");
}

/// A server's machine with two interfaces, and a client's that is connected to both.
struct TwoNetworks {
  Network server;
  Network client;

  TwoNetworks() {
    // NOLINTBEGIN(performance-inefficient-string-concatenation): readable, and a few times only
    for (const std::string number : {"1", "2"}) {
      const std::string interface = "net" + number;
      server.ip("link add " + interface + " type veth peer name " + interface + " netns " + client.name());
      for (const Network* const end : {&server, &client}) {
        end->ip("link set up addrgenmode none dev " + interface);
      }
      const auto add = [&](const Network& end, const std::string& host) {
        end.add_address("10.0." + number + "." + host + "/24", interface);
        end.add_address("fd00:" + number + "::" + host + "/64", interface);
        end.add_address("fe80::" + number + host + "/64", interface);
      };
      add(server, "1");
      add(server, "2");
      add(client, "9");
    }
    // NOLINTEND(performance-inefficient-string-concatenation)
  }

  /// A client's socket, to ask there.
  std::unique_ptr<DatagramClient> ask(const AbstractServer& asked, const std::string& host) const {
    const Network::Visit visit(client);
    return std::make_unique<DatagramClient>(at(asked, host));
  }
};

/// What a client in another network hears that takes answers only from the address that it asked.
template <class Server>
std::string asked_from_afar(Server& server, const TwoNetworks& networks, const std::string& host) {
  CAPTURE(host);
  const auto client = networks.ask(server, host);
  client->connect();
  client->send("x");
  server.handle_request();
  return client->receive();
}

/// The same for a request to a group of hosts: what it hears, and from where.
template <class Server>
std::string group_asked_from_afar(Server& server, const TwoNetworks& networks, const std::string& host) {
  CAPTURE(host);
  const auto client = networks.ask(server, host);
  set_option(*client, SOL_SOCKET, SO_BROADCAST, 1);
  client->send("x");
  server.handle_request();
  const Answer answer = receive_answer(*client);
  return answer.content + "; came from " + answer.from.host();
}

void join(const AbstractServer& server, const Address& group, const char* interface) {
  group_req request{};
  request.gr_interface = ::if_nametoindex(interface);
  std::memcpy(&request.gr_group, group.data(), group.size());
  const int level = group.family() == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
  REQUIRE(::setsockopt(server.fileno(), level, MCAST_JOIN_GROUP, &request, sizeof request) == 0);
}

TEST_CASE("a server with several interfaces answers from the address that it was asked at") {
  REQUIRE_NETWORK();
  const TwoNetworks networks;
  const Network::Visit visit(networks.server);
  UDPServer<SaysWhere> server(Address("::", 0), {.dual_stack = true});
  const auto ask = [&](const std::string& host) { return asked_from_afar(server, networks, host); };
  CHECK(ask("::ffff:10.0.1.1") == "10.0.1.1 net1, from 10.0.1.1");
  CHECK(ask("10.0.1.2") == "10.0.1.2 net1, from 10.0.1.2");
  CHECK(ask("10.0.2.2") == "10.0.2.2 net2, from 10.0.2.2");
  CHECK(ask("fd00:1::2") == "fd00:1::2 net1, from fd00:1::2");
  CHECK(ask("fd00:2::1") == "fd00:2::1 net2, from fd00:2::1");
}

TEST_CASE("a link-local address answers by its own interface") {
  REQUIRE_NETWORK();
  const TwoNetworks networks;
  const Network::Visit visit(networks.server);
  UDPServer<SaysWhere> server(Address("::", 0));
  const auto ask = [&](const std::string& host) { return asked_from_afar(server, networks, host); };
  CHECK(ask("fe80::11%net1") == "fe80::11%net1 net1, from fe80::11%net1");
  CHECK(ask("fe80::12%net1") == "fe80::12%net1 net1, from fe80::12%net1");
  CHECK(ask("fe80::22%net2") == "fe80::22%net2 net2, from fe80::22%net2");
}

TEST_CASE(
    "an answer leaves from the address that was asked also where the route to the client is another interface's") {
  REQUIRE_NETWORK();
  const TwoNetworks networks;
  networks.client.add_address("10.9.9.9/32", "lo");
  networks.client.ip("route add 10.0.2.1 dev net2 src 10.9.9.9");
  networks.server.ip("route add 10.9.9.9 via 10.0.1.9");
  const Network::Visit visit(networks.server);
  UDPServer<SaysWhere> server(Address("", 0));
  CHECK(asked_from_afar(server, networks, "10.0.2.1") == "10.0.2.1 net2, from 10.0.2.1");
}

TEST_CASE("a request by broadcast is answered by unicast from an address of the interface") {
  REQUIRE_NETWORK();
  const TwoNetworks networks;
  const Network::Visit visit(networks.server);
  for (const char* const bound : {"0.0.0.0", "10.0.2.255"}) {
    CAPTURE(bound);
    UDPServer<SaysWhere> server(Address(bound, 0));
    CHECK(group_asked_from_afar(server, networks, "10.0.2.255") ==
          "10.0.2.255 net2, from 10.0.2.1; came from 10.0.2.1");
  }
}

TEST_CASE("a request by multicast is answered by unicast from an address of the interface") {
  REQUIRE_NETWORK();
  const TwoNetworks networks;
  networks.client.ip("route add 239.1.2.3 dev net2");
  const Network::Visit visit(networks.server);
  for (const char* const bound : {"0.0.0.0", "239.1.2.3"}) {
    CAPTURE(bound);
    UDPServer<SaysWhere> server(Address(bound, 0));
    join(server, Address("239.1.2.3", 0), "net2");
    CHECK(group_asked_from_afar(server, networks, "239.1.2.3") == "239.1.2.3 net2, from 10.0.2.1; came from 10.0.2.1");
  }
}

TEST_CASE("a request by IPv6 multicast is answered by unicast from an address of the interface") {
  REQUIRE_NETWORK();
  const TwoNetworks networks;
  const Network::Visit visit(networks.server);
  UDPServer<SaysWhere> server(Address("::", 0));
  join(server, Address("ff02::5:5%net2", 0), "net2");
  join(server, Address("ff05::5:5", 0), "net2");
  networks.client.ip("route add table local multicast ff05::5:5 dev net2 metric 1");
  const std::string link_local = group_asked_from_afar(server, networks, "ff02::5:5%net2");
  CHECK(link_local.find("ff02::5:5%net2 net2, from ::%") == 0);
  CHECK(link_local.find("came from fe80::2") != link_local.npos);
  const std::string site = group_asked_from_afar(server, networks, "ff05::5:5");
  CHECK(site.find("ff05::5:5 net2, from ::%") == 0);
  CHECK(site.find("came from fd00:2::") != site.npos);
}

TEST_CASE("an answer whose address is gone is an error, and does not leave from another address") {
  REQUIRE_NETWORK();
  static std::vector<std::string> errors;
  struct Late : DatagramRequestHandler {
    void handle() override {
      error_code error;
      socket.sendto(packet, client_address, error);
      errors.emplace_back(error ? "refused" : "sent");
    }
  };
  const TwoNetworks networks;
  const Network::Visit visit(networks.server);
  UDPServer<Late> server(Address("::", 0), {.dual_stack = true});
  for (const std::string host : {"10.0.1.2", "fd00:1::2"}) {
    const auto client = networks.ask(server, host);
    client->send("x");
    networks.server.ip("addr del " + host + (host.find(':') == host.npos ? "/24" : "/64") + " dev net1");
    server.handle_request();
    CHECK(client->receive_soon() == std::nullopt);
  }
  CHECK(errors == std::vector<std::string>(2, "refused"));
}

}  // namespace
