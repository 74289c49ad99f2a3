/// Clients that send many requests before they read an answer.

#include <doctest/doctest.h>
#include <sys/socket.h>

#include <kv_server/handler.hpp>
#include <mutex>
#include <optional>
#include <sockserv.hpp>
#include <string>

#include "support/support.hpp"

using Plain = kv::KeyValueServer<sockserv::TCPServer<kv::Handler>>;
TYPE_TO_STRING(Plain);
TYPE_TO_STRING(sockserv::ThreadingMixIn<Plain>);
TYPE_TO_STRING(sockserv::ThreadPoolMixIn<Plain>);
TYPE_TO_STRING(sockserv::FiberMixIn<Plain>);

namespace {

using namespace support;
using namespace sockserv;

#define KEY_VALUE_SERVERS Plain, ThreadingMixIn<Plain>, ThreadPoolMixIn<Plain>, FiberMixIn<Plain>

/// A server that serves on a port, and what it logs.
template <class Server>
struct Serving {
  explicit Serving(std::size_t unread, std::chrono::milliseconds patience = support::patience) {
    server.answer_limits.unread = unread;
    server.answer_limits.patience = patience;
    background.emplace(server);
  }

  std::string log() {
    const std::scoped_lock lock(mutex);
    return lines;
  }

  std::mutex mutex;
  std::string lines;
  Server server{{"127.0.0.1", 0}, {.log = [this](auto, std::string_view line) {
                  const std::scoped_lock lock(mutex);
                  lines.append(line).append("\n");
                }}};
  std::optional<ServerThread> background;
};

constexpr std::size_t plenty = std::size_t{1} << 30;

std::string times(std::size_t count, std::string_view text) {
  std::string all;
  while (count-- > 0) all += text;
  return all;
}

/// A request, its answer, and how many of them are more than the buffers of a connection hold.
const std::string payload(1000, 'x');
const std::string request = "*2\r\n$4\r\nECHO\r\n$1000\r\n" + payload + "\r\n";
const std::string answer = "$1000\r\n" + payload + "\r\n";
constexpr std::size_t more_than_fits = 15'000;

TEST_CASE_TEMPLATE("a client may send all its requests before it reads", Server, KEY_VALUE_SERVERS) {
  Serving<Server> serving(plenty);
  StreamClient client(serving.server.server_address());
  client.send(times(more_than_fits, request));
  client.shutdown_write();
  const std::string received = client.read_all();
  CHECK((received == times(more_than_fits, answer)));
}

TEST_CASE_TEMPLATE("a client that reads gets answers of any size, whatever the limit", Server, KEY_VALUE_SERVERS) {
  constexpr std::size_t count = 20;
  const std::string bulk = "$1000000\r\n" + std::string(1'000'000, 'x') + "\r\n";
  Serving<Server> serving(1'000'000);
  StreamClient client(serving.server.server_address());
  client.send("*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n" + bulk + times(count, "GET key\r\n") + "QUIT\r\n");
  const std::string received = client.read_all();
  CHECK((received == "+OK\r\n" + times(count, bulk) + "+OK\r\n"));
}

TEST_CASE_TEMPLATE("a client that reads nothing is closed at the limit, and the log says why", Server,
                   KEY_VALUE_SERVERS) {
  Serving<Server> serving(1'000'000, 20ms);
  StreamClient client(serving.server.server_address());
  const std::string name = client.address().to_string();
  CHECK_THROWS(client.send(times(2 * more_than_fits, request)));
  CHECK(eventually([&] { return serving.server.stats().active == 0; }));
  CHECK(serving.log().starts_with("closed the connection of " + name + ": it has sent requests and read none"));
  CHECK(serving.log().find("--max-unread allows 1000000\n") != std::string::npos);
  CHECK(serving.server.stats().handler_errors == 0);
}

TEST_CASE_TEMPLATE("a client that sends on behind QUIT gets the answers before it", Server, KEY_VALUE_SERVERS) {
  Serving<Server> serving(plenty);
  StreamClient client(serving.server.server_address());
  client.send(times(more_than_fits, request) + "QUIT\r\n" + times(more_than_fits, request));
  client.shutdown_write();
  const std::string received = client.read_all();
  CHECK((received == times(more_than_fits, answer) + "+OK\r\n"));
}

TEST_CASE_TEMPLATE("a client that reads late is not closed while it asks for nothing more", Server,
                   ThreadingMixIn<Plain>, FiberMixIn<Plain>) {
  Serving<Server> serving(100'000, 1ms);
  StreamClient client(serving.server.server_address());
  const std::string bulk = "$20000000\r\n" + std::string(20'000'000, 'x') + "\r\n";
  client.send("*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n" + bulk);
  CHECK(client.read_line() == "+OK\r\n");
  client.send("GET key\r\n");
  StreamClient other(serving.server.server_address());
  for (int i = 0; i < 20; ++i) {
    other.send("ECHO hello\r\n");
    CHECK(other.read_line() == "$5\r\n");
    CHECK(other.read_line() == "hello\r\n");
  }
  client.shutdown_write();
  const std::string received = client.read_all();
  CHECK((received == bulk));
}

}  // namespace
