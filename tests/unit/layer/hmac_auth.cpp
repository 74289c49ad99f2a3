#include <sockserv/layer/hmac_auth.hpp>  // first, to test that it is self-contained

#include <doctest/doctest.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <functional>
#include <initializer_list>
#include <memory>
#include <sockserv.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "layer/digest.hpp"
#include "layer/handshake.hpp"
#include "support/handshakes.hpp"
#include "support/messages.hpp"
#include "support/serving.hpp"
#include "support/support.hpp"

namespace {

using namespace sockserv;
using namespace support;
using Protocol = AuthenticationProtocol;
using Role = AuthenticationRole;

constexpr std::array protocols{Protocol::mutual, Protocol::multiprocessing, Protocol::simple};
constexpr std::array roles{Role::server, Role::client};
constexpr Role other(Role role) { return role == Role::server ? Role::client : Role::server; }

std::string hex(std::string_view bytes) {
  std::string text;
  for (const char character : bytes) {
    const auto byte = static_cast<unsigned char>(character);
    text += "0123456789abcdef"[byte / 16];
    text += "0123456789abcdef"[byte % 16];
  }
  return text;
}

/// A message as multiprocessing sends it.
std::string framed(std::string_view message) {
  return support::framed(message, {.prefix = LengthPrefix::multiprocessing});
}

Authentication with(Protocol protocol, SecretKey key = "the key") {
  return {.key = std::move(key), .protocol = protocol};
}

using End = HandshakeEnd;

/// Passes what they send to each other until there is nothing more.
void let_talk(End& one, End& two, std::size_t piece = 1000) {
  for (;;) {
    const std::string to_two = one.take_unread();
    two.take(to_two, piece);
    const std::string to_one = two.take_unread();
    one.take(to_one, piece);
    if (to_two.empty() && to_one.empty()) return;
  }
}

TEST_CASE("authentication: HMAC is that of RFC 2104, and of Python") {
  const SecretKey key("k");
  const std::string message(20, 'x');
  CHECK(hex(layer::hmac(layer::md5, key, message)) == "e8c8a369cca81fe93c49565f5bd38a4f");
  CHECK(hex(layer::hmac(layer::sha256, key, message)) ==
        "1362830710251a477d9fdd61be1c4458861b0cf3b139c677e63770d072f10e67");
  CHECK(hex(layer::hmac(layer::sha384, key, message)).substr(0, 16) == "7c66e20d71184f6f");
  CHECK(hex(layer::hmac(layer::sha3_256, key, message)).substr(0, 16) == "85d41cc80f0057f0");
  CHECK(hex(layer::hmac(layer::sha3_384, key, message)).substr(0, 16) == "e09386bb212d3c4b");
  for (const auto& digest : {layer::md5, layer::sha256, layer::sha384, layer::sha3_256, layer::sha3_384}) {
    CHECK(layer::hmac(digest, key, "").size() == digest.size);
  }
}

TEST_CASE("authentication: bytes are equal only if all of them are, and there are as many") {
  CHECK(layer::are_equal("", ""));
  CHECK(layer::are_equal("same", "same"));
  CHECK_FALSE(layer::are_equal("same", "sane"));
  CHECK_FALSE(layer::are_equal("same", "some"));
  CHECK_FALSE(layer::are_equal("same", "samf"));
  CHECK_FALSE(layer::are_equal("same", "sam"));
  CHECK_FALSE(layer::are_equal("", "s"));
}

TEST_CASE("authentication: random bytes differ each time") {
  std::array<char, 32> first{};
  std::array<char, 32> second{};
  layer::fill_randomly(first);
  layer::fill_randomly(second);
  CHECK(first != second);
  layer::fill_randomly({});
}

TEST_CASE("authentication: a key is copied, moved and assigned as a value, and is never empty") {
  SecretKey one("one");
  const SecretKey copy = one;
  CHECK(std::string(copy.bytes().begin(), copy.bytes().end()) == "one");
  const SecretKey moved = std::move(one);
  CHECK(moved.bytes().size() == 3);
  SecretKey assigned("another");
  assigned = moved;
  CHECK(assigned.bytes().size() == 3);
  CHECK(SecretKey(std::string("a\0b", 3)).bytes().size() == 3);
  CHECK(SecretKey().empty());
  CHECK_THROWS_WITH_AS(SecretKey(""), "a key must not be empty", std::invalid_argument);
}

TEST_CASE("authentication: settings that make no sense are refused") {
  const auto refused = [](const Authentication& authentication) -> std::string {
    for (const Role role : roles) {
      Connection nothing({}, {});
      CHECK_THROWS_AS(authenticate(nothing, authentication, role), std::invalid_argument);
    }
    try {
      detail::check_authentication(authentication);
    } catch (const std::invalid_argument& error) {
      return error.what();
    }
    return "";
  };
  CHECK(refused({}) == "Authentication::key is empty: there must be a key");
  CHECK(refused({.key = "k", .time_limit = 0s}) == "Authentication::time_limit must be positive");
  CHECK(refused({.key = "k", .allow_md5 = true}) ==
        "Authentication::allow_md5 is for AuthenticationProtocol::multiprocessing only");
  CHECK(refused({.key = "k", .protocol = Protocol::simple, .server_name = "server"}) ==
        "Authentication::server_name and client_name are for AuthenticationProtocol::mutual only");
  CHECK(refused({.key = "k", .protocol = Protocol::multiprocessing, .client_name = "client"}) ==
        "Authentication::server_name and client_name are for AuthenticationProtocol::mutual only");
}

TEST_CASE("authentication: two ends with one key succeed, however the bytes are cut") {
  for (const Protocol protocol : protocols) {
    for (const std::size_t piece : {1UL, 2UL, 3UL, 7UL, 1000UL}) {
      End server(with(protocol), Role::server);
      End client(with(protocol), Role::client);
      let_talk(server, client, piece);
      CHECK(server.succeeded());
      CHECK(client.succeeded());
      CHECK(server.wanted() == 0);
      CHECK(client.wanted() == 0);
      CHECK_FALSE(server.refused());
    }
  }
}

TEST_CASE("authentication: what follows a handshake is not taken") {
  for (const Protocol protocol : protocols) {
    for (const Role role : roles) {
      End one(with(protocol), role);
      End two(with(protocol), other(role));
      let_talk(one, two);
      End again(with(protocol), role);
      CHECK(again.take(two.sent() + "what follows") == "what follows");
      CHECK(again.succeeded());
    }
  }
}

TEST_CASE("authentication: mutual, byte by byte") {
  End server({.key = "k", .server_name = "a server", .client_name = "a client"}, Role::server);
  End client({.key = "k", .server_name = "a server", .client_name = "a client"}, Role::client);
  let_talk(server, client);
  CHECK(client.succeeded());
  std::string server_nonce;
  std::string client_nonce;
  for (char i = 0; i < 32; ++i) {
    server_nonce += static_cast<char>('S' + i);
    client_nonce += static_cast<char>('C' + i);
  }
  const auto proof = [&](const std::string& role) {
    std::string bytes;
    for (const std::string& field : {std::string("sockserv mutual authentication 1"), role, server_nonce, client_nonce,
                                     std::string("a server"), std::string("a client")}) {
      bytes += framed(field);
    }
    return layer::hmac(layer::sha256, "k", bytes);
  };
  CHECK(server.sent() == "sockauth\x01" + server_nonce + proof("server"));
  CHECK(client.sent() == client_nonce + proof("client"));
}

TEST_CASE("authentication: multiprocessing, byte by byte") {
  End server(with(Protocol::multiprocessing, "k"), Role::server);
  End client(with(Protocol::multiprocessing, "k"), Role::client);
  let_talk(server, client);
  CHECK(client.succeeded());
  const auto challenge = [](char first) {
    std::string bytes = "{sha256}";
    for (char i = 0; i < 40; ++i) bytes += static_cast<char>(first + i);
    return bytes;
  };
  const auto answer = [](const std::string& to) { return framed("{sha256}" + layer::hmac(layer::sha256, "k", to)); };
  CHECK(server.sent().size() == 63 + 13 + 44);
  CHECK(server.sent() == framed("#CHALLENGE#" + challenge('S')) + framed("#WELCOME#") + answer(challenge('C')));
  CHECK(client.sent() == answer(challenge('S')) + framed("#CHALLENGE#" + challenge('C')) + framed("#WELCOME#"));
}

TEST_CASE("authentication: simple, byte by byte") {
  End server(with(Protocol::simple, "k"), Role::server);
  End client(with(Protocol::simple, "k"), Role::client);
  let_talk(server, client);
  std::string challenge;
  for (char i = 0; i < 32; ++i) challenge += static_cast<char>('S' + i);
  CHECK(server.sent() == challenge);
  CHECK(client.sent() == layer::hmac(layer::sha256, "k", challenge));
}

TEST_CASE("authentication: another key is refused") {
  for (const Protocol protocol : protocols) {
    End server(with(protocol, "one key"), Role::server);
    End client(with(protocol, "another key"), Role::client);
    let_talk(server, client);
    CHECK(server.refused());
    CHECK((protocol == Protocol::simple || !client.succeeded()));
  }
}

TEST_CASE("authentication: a server that does not know the key is refused by the client") {
  // It accepts whatever the client answers, and goes on as if it knew the key.
  for (const Protocol protocol : {Protocol::mutual, Protocol::multiprocessing}) {
    End client(with(protocol), Role::client);
    End impostor(with(protocol, "another key"), Role::server);
    client.take(impostor.sent());
    if (protocol == Protocol::multiprocessing) {
      client.take(framed("#WELCOME#"));
      client.take(framed("{sha256}" + std::string(32, 'x')));
    } else {
      client.take(std::string(32, 'x'));
    }
    CHECK(client.refused());
  }
}

TEST_CASE("authentication: mutual refuses a peer with other names, or with the names exchanged") {
  const auto named = [](const std::string& server, const std::string& client) {
    return Authentication{.key = "k", .server_name = server, .client_name = client};
  };
  for (const auto& [server_name, client_name] :
       {std::pair("b", "c"), std::pair("a", "d"), std::pair("c", "a"), std::pair("", ""), std::pair("ac", "")}) {
    End server(named("a", "c"), Role::server);
    End client(named(server_name, client_name), Role::client);
    let_talk(server, client);
    CHECK(server.refused());
    CHECK_FALSE(client.succeeded());
  }
}

TEST_CASE("authentication: what was sent in another handshake is refused") {
  for (const Protocol protocol : protocols) {
    for (const Role role : roles) {
      if (protocol == Protocol::simple && role == Role::client) continue;  // it checks nothing
      End one(with(protocol), role);
      End two(with(protocol), other(role));
      let_talk(one, two);
      REQUIRE(one.succeeded());
      const Authentication authentication = with(protocol);
      const auto next = layer::make_handshake(authentication, role, counting_from('0'));
      std::string_view replayed = two.sent();
      while (next->wanted() > 0 && !replayed.empty()) {
        const std::size_t count = std::min(next->wanted(), replayed.size());
        next->take(replayed.substr(0, count));
        replayed.remove_prefix(count);
      }
      CHECK(next->failure() != nullptr);
    }
  }
}

TEST_CASE("authentication: an end that is sent its own bytes back is not deceived") {
  for (const Protocol protocol : protocols) {
    for (const Role role : roles) {
      End one(with(protocol), role);
      for (std::string reflected; !(reflected = one.take_unread()).empty();) one.take(reflected);
      CHECK_FALSE(one.succeeded());
    }
  }
}

TEST_CASE("authentication: two servers, or two clients, do not get on with each other") {
  for (const Protocol protocol : protocols) {
    for (const Role role : roles) {
      End one(with(protocol), role);
      End two(with(protocol), role);
      let_talk(one, two);
      CHECK_FALSE(one.succeeded());
      CHECK_FALSE(two.succeeded());
    }
  }
}

TEST_CASE("authentication: mutual refuses the proof of the other role") {
  // The attacker has whoever knows the key make proofs for him, as a server towards a client.
  End server(with(Protocol::mutual), Role::server);
  End dupe(with(Protocol::mutual), Role::server);
  const std::string nonce(32, 'x');
  const std::string proof_of_a_server =
      layer::hmac(layer::sha256, "the key",
                  framed("sockserv mutual authentication 1") + framed("server") + framed(server.sent().substr(9)) +
                      framed(nonce) + framed("") + framed(""));
  server.take(nonce + proof_of_a_server);
  CHECK(server.refused());
}

TEST_CASE("authentication: a multiprocessing server answers no challenge before its own is answered") {
  End server(with(Protocol::multiprocessing), Role::server);
  End victim(with(Protocol::multiprocessing), Role::server);
  server.take(victim.sent());  // the challenge of another connection, to be answered for the attacker
  CHECK(server.refused());
  CHECK(server.sent().ends_with(framed("#FAILURE#")));
  CHECK(server.sent().size() == 63 + 13);
}

TEST_CASE("authentication: a handshake that is truncated anywhere has not succeeded") {
  for (const Protocol protocol : protocols) {
    for (const Role role : roles) {
      End one(with(protocol), role);
      End two(with(protocol), other(role));
      let_talk(one, two);
      for (std::size_t length = 0; length < two.sent().size(); ++length) {
        End cut(with(protocol), role);
        cut.take(std::string_view(two.sent()).substr(0, length));
        CHECK_FALSE(cut.succeeded());
        CHECK_FALSE(cut.refused());
        CHECK(cut.wanted() > 0);
      }
    }
  }
}

TEST_CASE("authentication: a handshake in which any bit is changed does not succeed") {
  for (const Protocol protocol : protocols) {
    for (const Role role : roles) {
      End one(with(protocol), role);
      End two(with(protocol), other(role));
      let_talk(one, two);
      for (std::size_t at = 0; at < two.sent().size(); ++at) {
        if (protocol == Protocol::simple && role == Role::client) continue;  // it takes any challenge
        std::string changed = two.sent();
        changed[at] = static_cast<char>(changed[at] ^ 0x20);
        End deceived(with(protocol), role);
        deceived.take(changed);
        // The nonce of the peer is not proved to this end, but is proved by this end to the peer.
        const bool is_nonce = protocol == Protocol::multiprocessing &&
                              (role == Role::client ? at >= 23 && at < 63 : at >= 67 && at < 107);
        CHECK_MESSAGE((!deceived.succeeded() || is_nonce), "byte ", at);
      }
    }
  }
}

TEST_CASE("authentication: multiprocessing refuses messages that it does not know") {
  const auto reason = [](Role role, std::initializer_list<std::string> messages) -> std::string {
    End end(with(Protocol::multiprocessing), role);
    for (const std::string& message : messages) end.take(message);
    return end.failure();
  };
  const std::string no_length = "the peer's message has no length that this protocol knows";
  CHECK(reason(Role::server, {std::string("\0\0\1\1", 4)}) == no_length);
  CHECK(reason(Role::server, {"\xff\xff\xff\xff"}) == no_length);  // a long message, as 64 bits that follow say
  CHECK(reason(Role::server, {std::string("\x80\0\0\1", 4)}) == no_length);
  CHECK(reason(Role::server, {"HTTP"}) == no_length);
  CHECK(reason(Role::server, {framed(std::string(256, 'x'))}) == "the peer's answer is none of this protocol");
  CHECK(reason(Role::server, {framed("")}) == "the peer's answer is none of this protocol");
  CHECK(reason(Role::server, {framed("{}" + std::string(32, 'x'))}) == "the peer's answer is none of this protocol");
  CHECK(reason(Role::server, {framed("{sha1}" + std::string(20, 'x'))}) ==
        "the peer's answer is none of this protocol");
  CHECK(reason(Role::server, {framed("{sha256" + std::string(32, 'x'))}) ==
        "the peer's answer is none of this protocol");
  CHECK(reason(Role::server, {framed("{sha256}" + std::string(31, 'x'))}) == "the peer's answer is wrong");
  CHECK(reason(Role::server, {framed("{sha256}" + std::string(33, 'x'))}) == "the peer's answer is wrong");
  CHECK(reason(Role::server, {framed("{sha3_384}" + std::string(48, 'x'))}) == "the peer's answer is wrong");
  CHECK(reason(Role::server, {framed("{sha3_3840}" + std::string(48, 'x'))}) ==
        "the peer's answer is none of this protocol");
  CHECK(reason(Role::client, {framed("")}) == "the peer's message is no challenge");
  CHECK(reason(Role::client, {framed("#WELCOME#")}) == "the peer's message is no challenge");
  CHECK(reason(Role::client, {framed("#CHALLENGE#" + std::string(19, 'x'))}) == "the peer's challenge is too short");
  CHECK(reason(Role::client, {framed("#CHALLENGE#" + std::string(21, 'x'))}) ==
        "the peer's challenge asks for no digest of this protocol");
  CHECK(reason(Role::client, {framed("#CHALLENGE#{sha256}" + std::string(40, 'x')), framed("#FAILURE#")}) ==
        "the peer rejects our answer");
  CHECK(reason(Role::client, {framed("#CHALLENGE#{sha256}" + std::string(40, 'x')), framed("#WELCOME#!")}) ==
        "the peer rejects our answer");
}

TEST_CASE("authentication: multiprocessing answers and takes every digest of Python's, MD5 only if it is allowed") {
  for (const auto& digest : {layer::sha256, layer::sha384, layer::sha3_256, layer::sha3_384, layer::md5}) {
    for (const bool allowed : {false, true}) {
      const bool good = allowed || digest.name != "md5";
      const std::string prefix = std::string("{").append(digest.name).append("}");
      const Authentication authentication{.key = "k", .protocol = Protocol::multiprocessing, .allow_md5 = allowed};
      End client(authentication, Role::client);
      const std::string challenge = prefix + std::string(40, 'x');
      client.take(framed("#CHALLENGE#" + challenge));
      CHECK(client.refused() == !good);
      CHECK(client.sent() == (good ? framed(prefix + layer::hmac(digest, "k", challenge)) : ""));

      End server(authentication, Role::server);
      server.take(framed(prefix + layer::hmac(digest, "k", server.sent().substr(15))));
      CHECK(server.refused() == !good);
    }
  }
}

TEST_CASE("authentication: multiprocessing speaks with Python up to 3.11 by MD5, only if that is allowed") {
  for (const bool allowed : {false, true}) {
    const Authentication authentication{.key = "k", .protocol = Protocol::multiprocessing, .allow_md5 = allowed};
    End client(authentication, Role::client);
    client.take(framed("#CHALLENGE#" + std::string(20, 'x')));
    CHECK(client.refused() == !allowed);
    if (allowed) CHECK(hex(client.sent().substr(4)) == "e8c8a369cca81fe93c49565f5bd38a4f");

    End server(authentication, Role::server);
    server.take(framed(layer::hmac(layer::md5, "k", server.sent().substr(15))));
    CHECK(server.refused() == !allowed);
    if (!allowed) CHECK(server.failure() == "the peer has answered with MD5, which is not allowed");

    End deceived(authentication, Role::server);
    deceived.take(framed(std::string(16, 'x')));
    CHECK(deceived.refused());
  }
}

TEST_CASE("authentication: a system without random bytes is an error") {
  const layer::RandomSource none = [](std::span<char>) { throw std::runtime_error("no random bytes"); };
  for (const Protocol protocol : protocols) {
    const Authentication authentication = with(protocol);
    CHECK_THROWS_AS(layer::make_handshake(authentication, Role::server, none), std::runtime_error);
  }
}

// With sockets

/// Counts the handlers that have been made, also in other processes.
std::atomic<int>& handlers_made() {
  static const Shared<std::atomic<int>> count;
  return *count;
}

struct Echo : StreamRequestHandler {
  Echo() { ++handlers_made(); }
  void handle() override {
    for (std::string_view line : rfile) wfile.write(line);
  }
};

/// A server on a free port that demands the key.
template <class Server>
struct Guarded : Server {
  explicit Guarded(const Authentication& how, ServerOptions options = quiet())
      : Server(Address("127.0.0.1", 0), std::move(options)) {
    this->authentication = how;
    handlers_made() = 0;
  }
  ~Guarded() override { this->server_close(); }
};

using Sequential = HmacAuthMixIn<TCPServer<Echo>>;
using Threads = HmacAuthMixIn<ThreadingTCPServer<Echo>>;
using ThreadsAround = ThreadingMixIn<HmacAuthMixIn<TCPServer<Echo>>>;
using Pool = HmacAuthMixIn<ThreadPoolTCPServer<Echo>>;
using PoolAround = ThreadPoolMixIn<HmacAuthMixIn<TCPServer<Echo>>>;
using Processes = HmacAuthMixIn<ForkingTCPServer<Echo>>;
using ProcessesAround = ForkingMixIn<HmacAuthMixIn<TCPServer<Echo>>>;
using Workers = HmacAuthMixIn<PreForkingTCPServer<Echo>>;
using WorkersAround = PreForkingMixIn<HmacAuthMixIn<FiberTCPServer<Echo>>>;
using Fibers = HmacAuthMixIn<FiberTCPServer<Echo>>;
using FibersAround = FiberMixIn<HmacAuthMixIn<TCPServer<Echo>>>;

#define GUARDED_SERVERS                                                                                             \
  Sequential, Threads, ThreadsAround, Pool, PoolAround, Processes, ProcessesAround, Workers, WorkersAround, Fibers, \
      FibersAround
#define GUARDED_CONCURRENT_SERVERS Threads, Processes, Fibers, FibersAround

}  // namespace

TYPE_TO_STRING(Sequential);
TYPE_TO_STRING(Threads);
TYPE_TO_STRING(ThreadsAround);
TYPE_TO_STRING(Pool);
TYPE_TO_STRING(PoolAround);
TYPE_TO_STRING(Processes);
TYPE_TO_STRING(ProcessesAround);
TYPE_TO_STRING(Workers);
TYPE_TO_STRING(WorkersAround);
TYPE_TO_STRING(Fibers);
TYPE_TO_STRING(FibersAround);

namespace {

/// Authenticates a new connection, and returns what the server echoes of a line.
std::string echo_after(const Authentication& authentication, const Address& server) {
  ClientConnection connection = create_connection(server, patience, {.timeout = patience});
  authenticate(connection.connection, authentication, Role::client);
  connection.wfile.write("hello\n");
  const auto line = connection.rfile.readline();
  return line ? std::string(*line) : "";
}

TEST_CASE_TEMPLATE("authentication: a client with the key reaches the handler, under every mixin in either order",
                   Server, GUARDED_SERVERS) {
  for (const Protocol protocol : protocols) {
    Guarded<Server> server(with(protocol));
    const ServerThread background(server);
    CHECK(echo_after(with(protocol), server.server_address()) == "hello\n");
    CHECK(handlers_made() == 1);
    CHECK(server.stats().authentication_failures == 0);
  }
}

TEST_CASE("authentication: over Unix sockets") {
  const TemporaryFolder folder;
  HmacAuthMixIn<ThreadingUnixStreamServer<Echo>> server(folder / "server");
  server.authentication = with(Protocol::mutual);
  const ServerThread background(server);
  CHECK(echo_after(with(Protocol::mutual), server.server_address()) == "hello\n");
}

std::string received_exactly(const StreamClient& client, std::size_t count) {
  std::string bytes(count, '\0');
  for (std::size_t received = 0; received < count;) {
    const ssize_t more = ::recv(client.fileno(), bytes.data() + received, count - received, 0);
    REQUIRE((more > 0 || (more < 0 && errno == EINTR)));
    if (more > 0) received += static_cast<std::size_t>(more);
  }
  return bytes;
}

/// What clients do that must not reach the handler.
using Misbehaviour = std::function<void(const Address& server)>;

std::vector<Misbehaviour> misbehaviours(Protocol protocol) {
  std::vector<Misbehaviour> all{
      [=](const Address& server) {  // another key; who speaks simply is not told
        ClientConnection connection = create_connection(server, patience, {.timeout = patience});
        const auto error =
            detail::error_of([&] { authenticate(connection.connection, with(protocol, "another key"), Role::client); });
        if (protocol == Protocol::simple) {
          CHECK(connection.rfile.read().empty());
        } else {
          CHECK((error && is_authentication_failure(error)));
        }
      },
      [](const Address& server) { StreamClient client(server); },  // goes at once
      [](const Address& server) {                                  // speaks another protocol
        StreamClient client(server);
        client.send("GET / HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\nUser-Agent: a browser\r\n\r\n");
        CHECK_NOTHROW(detail::error_of([&] { client.read_all(); }));
      },
      [](const Address& server) {  // sends much more than any handshake has
        StreamClient client(server);
        CHECK_NOTHROW(detail::error_of([&] { client.send(std::string(100'000, '\x7f')); }));
        CHECK_NOTHROW(detail::error_of([&] { client.read_all(); }));
      },
      [](const Address& server) {  // sends the server's own bytes back
        StreamClient client(server);
        client.send(received_exactly(client, 32));
        client.shutdown_write();
        CHECK_NOTHROW(detail::error_of([&] { client.read_all(); }));
      },
  };
  return all;
}

TEST_CASE_TEMPLATE("authentication: who does not prove that it knows the key reaches no handler, and stops nothing",
                   Server, GUARDED_CONCURRENT_SERVERS) {
  for (const Protocol protocol : protocols) {
    Lines lines;
    Guarded<Server> server(with(protocol), {.log = lines.sink()});
    const ServerThread background(server);
    const std::vector<Misbehaviour> all = misbehaviours(protocol);
    for (const Misbehaviour& misbehave : all) misbehave(server.server_address());
    CHECK(eventually([&] { return server.stats().authentication_failures == all.size(); }));
    CHECK(handlers_made() == 0);
    CHECK(echo_after(with(protocol), server.server_address()) == "hello\n");
    CHECK(handlers_made() == 1);
    CHECK(server.stats().authentication_failures == all.size());
    CHECK(server.stats().handler_errors == 0);
    CHECK(server.stats().peers_gone == 0);
    if (std::is_same_v<Server, Threads> || std::is_same_v<Server, Fibers>) {  // elsewhere children log
      CHECK(lines.all().size() == all.size());
      CHECK(lines.mention("127.0.0.1"));
      CHECK(lines.mention(" was rejected: sockserv::authentication_error: the "));
      CHECK_FALSE(lines.mention("the key"));
    }
  }
}

TEST_CASE_TEMPLATE("authentication: a client that says nothing is rejected in time, and holds up no other", Server,
                   GUARDED_CONCURRENT_SERVERS) {
  for (const Protocol protocol : protocols) {
    Authentication authentication = with(protocol);
    authentication.time_limit = 300ms;
    Guarded<Server> server(authentication);
    const ServerThread background(server);
    StreamClient silent(server.server_address());
    StreamClient slow(server.server_address());
    slow.send("x");
    CHECK(echo_after(with(protocol), server.server_address()) == "hello\n");
    silent.read_all();
    slow.read_all();
    CHECK(eventually([&] { return server.stats().authentication_failures == 2; }));
    CHECK(handlers_made() == 1);
  }
}

TEST_CASE_TEMPLATE("authentication: the timeout is for the whole handshake, not for each byte", Server, Threads,
                   Fibers) {
  Authentication authentication = with(Protocol::mutual);
  authentication.time_limit = 100ms;
  Guarded<Server> server(authentication);
  const ServerThread background(server);
  StreamClient dripping(server.server_address());
  const auto start = std::chrono::steady_clock::now();
  // 64 bytes are wanted, which would take 640 ms.
  const auto error = detail::error_of([&] {
    for (int i = 0; i < 64 && server.stats().authentication_failures == 0; ++i) {
      dripping.send("x");
      std::this_thread::sleep_for(10ms);
    }
  });
  CHECK(eventually([&] { return server.stats().authentication_failures == 1; }));
  CHECK(std::chrono::steady_clock::now() - start >= 100ms);
}

TEST_CASE("authentication: the timeout is over with the handshake") {
  Authentication authentication = with(Protocol::mutual);
  authentication.time_limit = 50ms;
  struct Slow : StreamRequestHandler {
    void handle() override {
      CHECK(!request.gettimeout());
      wfile.write(*rfile.readline());
    }
  };
  Guarded<HmacAuthMixIn<ThreadingTCPServer<Slow>>> server(with(Protocol::mutual));
  const ServerThread background(server);
  ClientConnection connection = create_connection(server.server_address(), patience, {.timeout = patience});
  authenticate(connection.connection, authentication, Role::client);
  CHECK(connection.connection.gettimeout() == patience);
  std::this_thread::sleep_for(100ms);
  connection.wfile.write("late\n");
  CHECK(connection.rfile.readline() == "late\n");
}

TEST_CASE("authentication: a client that has not been answered in time says so") {
  Authentication authentication = with(Protocol::mutual);
  authentication.time_limit = 10ms;
  struct Silent : StreamRequestHandler {
    void handle() override { rfile.read(); }
  };
  ThreadingTCPServer<Silent> server({"127.0.0.1", 0});
  const ServerThread background(server);
  ClientConnection connection = create_connection(server.server_address(), patience);
  const auto error = detail::error_of([&] { authenticate(connection.connection, authentication, Role::client); });
  REQUIRE(error);
  CHECK(is_authentication_failure(error));
  CHECK(detail::describe(error).find("it was not done within the timeout: ") != std::string::npos);
}

TEST_CASE("authentication: bytes that come together with the end of the handshake are the handler's") {
  for (const Protocol protocol : protocols) {
    Guarded<Threads> server(with(protocol));
    const ServerThread background(server);
    StreamClient client(server.server_address());
    const Authentication authentication = with(protocol);
    const auto handshake = layer::make_handshake(authentication, Role::client, layer::fill_randomly);
    while (handshake->wanted() > 0) {
      handshake->take(received_exactly(client, handshake->wanted()));
      const bool has_said_all = handshake->wanted() == (protocol == Protocol::mutual ? 32 : 0);
      client.send(handshake->take_output() + (has_said_all ? "glued\nto it\n" : ""));
    }
    CHECK(handshake->succeeded());
    CHECK(client.read_line() == "glued\n");
    CHECK(client.read_line() == "to it\n");
  }
}

TEST_CASE("authentication: a server without a key refuses to serve") {
  HmacAuthMixIn<ThreadingTCPServer<Echo>> server({"127.0.0.1", 0});
  CHECK_THROWS_WITH_AS(server.serve_forever(), "Authentication::key is empty: there must be a key",
                       std::invalid_argument);
  CHECK_THROWS_AS(server.handle_request(), std::invalid_argument);
}

TEST_CASE("authentication: limits of the server hold during the handshake") {
  Guarded<Threads> server(with(Protocol::mutual), quiet({.idle_timeout = 20ms}));
  const ServerThread background(server);
  StreamClient silent(server.server_address());
  silent.read_all();
  CHECK(eventually([&] { return server.stats().aborted_idle_timeout == 1; }));
  CHECK(server.stats().authentication_failures == 0);
  CHECK(handlers_made() == 0);
}

TEST_CASE_TEMPLATE("authentication: a handshake in progress is aborted when the server drains", Server, Threads,
                   ThreadsAround, Fibers, FibersAround) {
  Authentication authentication = with(Protocol::mutual);
  authentication.time_limit = patience;
  Guarded<Server> server(authentication);
  const ServerThread background(server);
  StreamClient silent(server.server_address());
  CHECK(eventually([&] { return server.requests_running() == 1; }));
  CHECK(server.drain(1ms).remaining == 0);
  CHECK(server.stats().aborted_drain == 1);
  CHECK(handlers_made() == 0);
}

TEST_CASE("authentication: a daemon thread that outlives its server's closing never serves without a handshake") {
  for (int round = 0; round < 20; ++round) {
    StreamClient client = [] {
      Authentication authentication = with(Protocol::mutual);
      authentication.time_limit = patience;
      Threads server({"127.0.0.1", 0}, quiet());
      server.authentication = authentication;
      server.daemon_threads = true;
      handlers_made() = 0;
      const ServerThread background(server);
      StreamClient connected(server.server_address());
      CHECK(eventually([&] { return server.stats().accepted == 1; }));
      return connected;
    }();
    CHECK_NOTHROW(detail::error_of([&] { client.send("echo me\n"); }));
    const auto error = detail::error_of([&] {
      const std::string all = client.read_all();
      CHECK(all.find("echo me") == all.npos);
    });
    CHECK(handlers_made() == 0);
  }
}

TEST_CASE("authentication: an override within that constructs its handler itself has none for those without the key") {
  struct Own : TCPServer<support::Greets> {
    using TCPServer<support::Greets>::TCPServer;
    void finish_request(Connection& request, const Address&) override { request.sendall("own handler\n"); }
    void process_request(Connection& request, const Address& client_address) override {
      finish_request(request, client_address);
      shutdown_request(request);
    }
  };
  HmacAuthMixIn<Own> server(loopback(), quiet());
  server.authentication = {.key = "key"};
  const ServerThread background(server);
  StreamClient client(server.server_address());
  client.shutdown_write();
  CHECK(client.read_all().find("own handler") == std::string::npos);
  CHECK(eventually([&] { return server.stats().authentication_failures == 1; }));
}

}  // namespace
