/// Every knob and option at its ends: the smallest and the largest value that make sense are served with, and the first
/// that does not is refused by its name.

#include <sockserv/detail/settings.hpp>  // first, to test that it is self-contained

#include <doctest/doctest.h>
#include <sys/resource.h>

#include <limits>
#include <sockserv.hpp>
#include <sockserv/detail/deadline.hpp>
#include <sockserv/layer/hmac_auth.hpp>
#include <sockserv/testing.hpp>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "support/serving.hpp"
#include "support/support.hpp"

namespace {

using namespace sockserv;
using namespace support;
using duration = AbstractServer::duration;

constexpr std::size_t largest = std::numeric_limits<std::size_t>::max();
constexpr std::size_t too_large_for_any_memory = std::size_t{1} << 47;
constexpr duration longest = duration::max();
constexpr duration most_negative = duration::min();

template <class Server, class Set>
void expect_refusal(const char* knob, const Set& set) {
  CAPTURE(knob);
  Server server(loopback(), quiet());
  set(server);
  CHECK_THROWS_WITH_AS(server.serve_forever(), doctest::Contains(knob), std::invalid_argument);
  CHECK_THROWS_WITH_AS(server.handle_request(), doctest::Contains(knob), std::invalid_argument);
}

std::string echo_of(AbstractServer& server) {
  StreamClient client(server.server_address());
  client.send("hello\n");
  return client.read_line();
}

template <class Server, class Set>
void expect_service(const Set& set, ServerOptions options = {}) {
  Server server(loopback(), quiet(std::move(options)));
  set(server);
  const ServerThread background(server);
  for (int i = 0; i < 3; ++i) CHECK(echo_of(server) == "hello\n");
}

/// Tries values of a knob: those that are refused by name, and those that are served with.
template <class Server, class Value>
void try_values(const char* name, Value Server::* knob, std::initializer_list<std::type_identity_t<Value>> refused,
                std::initializer_list<std::type_identity_t<Value>> served) {
  for (const Value value : refused) expect_refusal<Server>(name, [&](Server& server) { server.*knob = value; });
  for (const Value value : served) expect_service<Server>([&](Server& server) { server.*knob = value; });
}

TEST_CASE("knobs of threads at their ends") {
  using Server = ThreadingTCPServer<Echo>;
  try_values("max_threads", &Server::max_threads, {}, {0, 1, largest});
  try_values("stack_size", &Server::stack_size, {1, 16383, too_large_for_any_memory, largest - 4095, largest},
             {0, std::size_t{64} << 20});
}

TEST_CASE("knobs of a pool at their ends") {
  using Server = ThreadPoolTCPServer<Echo>;
  try_values("pool_size", &Server::pool_size, {0}, {1, largest});
  try_values("queue_limit", &Server::queue_limit, {}, {0, 1, largest});
  try_values("stack_size", &Server::stack_size, {1, 16383, too_large_for_any_memory, largest},
             {0, std::size_t{64} << 20});
  expect_service<Server>([](Server& server) {
    server.pool_size = server.queue_limit = largest;
    server.when_full = WhenFull::reject;
  });
}

TEST_CASE("knobs of children at their ends") {
  using Server = ForkingTCPServer<Echo>;
  try_values("max_children", &Server::max_children, {0}, {1, largest});
}

TEST_CASE("knobs of workers at their ends") {
  using Server = PreForkingTCPServer<Echo>;
  try_values("processes", &Server::processes, {0, 8193, largest}, {1, 2});
  try_values("max_requests_per_child", &Server::max_requests_per_child, {}, {0, largest});
  try_values("boot_timeout", &Server::boot_timeout, {duration(0), duration(-1), most_negative}, {longest});
  try_values("max_early_deaths", &Server::max_early_deaths, {0}, {1, largest});
}

TEST_CASE("knobs of fibers at their ends") {
  using Server = FiberTCPServer<Echo>;
  try_values("loops", &Server::loops, {0, 8193, largest}, {1, 3});
  try_values("stack_size", &Server::stack_size, {0, 1, 16383, too_large_for_any_memory, largest - 4095, largest},
             {16384, std::size_t{64} << 20});
  try_values("stall_threshold", &Server::stall_threshold, {duration(-1), most_negative},
             {duration(0), duration(1), longest});
  try_values("busy_poll", &Server::busy_poll, {duration(-1), 1ms + 1ns, longest, most_negative}, {duration(0), 1ms});
}

TEST_CASE("set_concurrency sets what the mixin calls that, through any layer, and whatever the static type") {
  const auto set = []<class Server, class Knob>(Knob Server::* knob) {
    HmacAuthMixIn<Server> server(loopback());
    static_cast<AbstractServer&>(server).set_concurrency(7);
    return server.*knob == 7;
  };
  CHECK(set(&ThreadingTCPServer<Echo>::max_threads));
  CHECK(set(&ThreadPoolTCPServer<Echo>::pool_size));
  CHECK(set(&ForkingTCPServer<Echo>::max_children));
  CHECK(set(&PreForkingTCPServer<Echo>::processes));
  CHECK(set(&FiberTCPServer<Echo>::loops));

  PreForkingMixIn<FiberTCPServer<Echo>> both(loopback());
  both.set_concurrency(7);
  CHECK(both.processes == 7);
  CHECK(both.loops == 1);
}

TEST_CASE("a server without a mixin serves one request at a time, and says so if told otherwise") {
  TCPServer<Echo> server(loopback());
  CHECK_NOTHROW(server.set_concurrency(1));
  CHECK_THROWS_WITH_AS(server.set_concurrency(2),
                       "set_concurrency(2): a server without a mixin serves one request at a time",
                       std::invalid_argument);
}

TEST_CASE_TEMPLATE("the limits of ServerOptions at their ends, under every mixin", Server, ThreadingTCPServer<Echo>,
                   ForkingTCPServer<Echo>, PreForkingTCPServer<Echo>, ThreadPoolTCPServer<Echo>, FiberTCPServer<Echo>) {
  expect_service<Server>([](Server&) {}, {.request_queue_size = std::numeric_limits<int>::max(),
                                          .max_connections = largest,
                                          .max_connections_per_address = largest,
                                          .idle_timeout = longest,
                                          .request_timeout = longest,
                                          .prepare_timeout = longest,
                                          .first_request_grace = longest,
                                          .min_receive_rate = largest});
  const auto set = [](Server& server) {
    if constexpr (requires { server.processes; }) server.processes = 1;
  };
  expect_service<Server>(set, {.request_queue_size = 0, .max_connections = 1, .min_receive_rate = 1});
}

TEST_CASE("the largest and the smallest packet that a server takes") {
  for (const std::size_t size : {std::size_t{1}, std::size_t{64} << 20}) {
    UDPServer<EchoPacket> server(loopback(), {.max_packet_size = size});
    DatagramClient client(server.server_address());
    client.send("hello");
    server.handle_request();
    CHECK(client.receive() == std::string("hello").substr(0, size));
  }
}

TEST_CASE("how long handle_request waits, at its ends") {
  using Server = TCPServer<Echo>;
  for (const duration timeout : {duration(-1), most_negative}) {
    expect_refusal<Server>("timeout", [&](Server& server) { server.timeout = timeout; });
  }
  struct TimedOut : Server {
    using Server::Server;
    void handle_timeout() override { ++timeouts; }
    int timeouts = 0;
  };
  TimedOut server(loopback());
  server.timeout = duration(0);
  server.handle_request();
  CHECK(server.timeouts == 1);
  server.timeout = longest;
  StreamClient client(server.server_address());
  client.send("hello\n");
  client.shutdown_write();
  server.handle_request();
  CHECK(client.read_all() == "hello\n");
  CHECK(server.timeouts == 1);
}

TEST_CASE("poll_interval at its ends") {
  ThreadingTCPServer<Echo> server(loopback());
  for (const duration interval : {duration(0), duration(-1), most_negative}) {
    CHECK_THROWS_WITH_AS(server.serve_forever(interval), doctest::Contains("poll_interval"), std::invalid_argument);
  }
  for (const duration interval : {duration(1), longest}) {
    ThreadingTCPServer<Echo> served(loopback());
    std::thread serving([&] { served.serve_forever(interval); });
    CHECK(echo_of(served) == "hello\n");
    served.shutdown();
    serving.join();
  }
}

TEST_CASE("a limit of drain that has passed, however long ago, aborts requests at once") {
  ThreadingTCPServer<Lingers> server(loopback(), quiet());
  const ServerThread background(server);
  StreamClient client(server.server_address());
  CHECK(client.read_line() == "here\n");
  CHECK(server.drain(most_negative).aborted == 1);
}

/// What a time is counted from, and how much is added.
TEST_CASE("no length of time overflows a deadline") {
  using detail::deadline_after;
  const auto now = std::chrono::steady_clock::now();
  CHECK(deadline_after(duration(0), now) == now);
  CHECK(deadline_after(duration(1), now) == now + duration(1));
  CHECK(deadline_after(most_negative, now) == now);
  CHECK(deadline_after(longest, now) == std::chrono::steady_clock::time_point::max());
  CHECK(deadline_after(std::chrono::duration<double>(1e300), now) == std::chrono::steady_clock::time_point::max());
}

/// A handler whose settings the test chooses.
struct Chosen : StreamRequestHandler {
  explicit Chosen(const StreamSettings& settings) { static_cast<StreamSettings&>(*this) = settings; }
  void handle() override {
    for (const std::string_view line : rfile) wfile.write(line);
  }
};

std::string converse_with(const StreamSettings& settings) {
  TCPServer<Chosen> server(loopback(), {.bind_and_activate = false});
  server.handler_factory = [&] { return std::make_unique<Chosen>(settings); };
  return testing::converse(server, "hello\nworld\n");
}

TEST_CASE("the settings of a stream at their ends") {
  const std::string answer = "hello\nworld\n";
  for (const std::size_t size : {std::size_t{0}, (std::size_t{1} << 30) + 1, largest}) {
    CHECK_THROWS_WITH_AS(converse_with({.rbufsize = size}), doctest::Contains("rbufsize"), std::invalid_argument);
    CHECK_THROWS_WITH_AS(create_connection({"127.0.0.1", 1}, 1s, {.rbufsize = size}), doctest::Contains(""),
                         std::exception);
  }
  for (const std::size_t size : {std::size_t{1}, std::size_t{1} << 30}) {
    CHECK(converse_with({.rbufsize = size}) == answer);
  }
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, largest}) {
    CHECK(converse_with({.wbufsize = size}) == answer);
  }
  for (const duration timeout : {duration(0), duration(-1), most_negative}) {
    CHECK_THROWS_WITH_AS(converse_with({.timeout = timeout}), doctest::Contains("positive"), std::invalid_argument);
  }
  for (const duration timeout : {duration(1), longest}) CHECK(converse_with({.timeout = timeout}) == answer);
}

TEST_CASE("a timeout of a connection may be as long as can be said") {
  TCPServer<Echo> server(loopback());
  auto connection = create_connection(server.server_address(), longest, {.timeout = longest});
  connection.wfile.write("hello\n");
  connection.shutdown(SHUT_WR);
  server.handle_request();
  CHECK(connection.rfile.readline() == "hello\n");
}

TEST_CASE("a client's timeout that is not positive is refused") {
  DatagramEndpoint endpoint({"127.0.0.1", 9});
  for (const duration limit : {duration(0), duration(-1), most_negative}) {
    CHECK_THROWS_WITH_AS(create_connection({"127.0.0.1", 9}, limit), doctest::Contains("timeout"),
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(endpoint.receive(limit), doctest::Contains("timeout"), std::invalid_argument);
  }
}

TEST_CASE("port 0 is nowhere to connect to, as a number and as an address") {
  CHECK_THROWS_WITH_AS(Destination("localhost", 0), doctest::Contains("port 0"), std::invalid_argument);
  CHECK_THROWS_WITH_AS(Destination(Address("127.0.0.1", 0)), doctest::Contains("port 0"), std::invalid_argument);
  CHECK_THROWS_WITH_AS(Destination({{"127.0.0.1", 1}, {"::1", 0}}), doctest::Contains("port 0"), std::invalid_argument);
  CHECK_NOTHROW(Destination(Address("127.0.0.1", 65535)));
  CHECK_THROWS_AS(Address("127.0.0.1", 65536), std::invalid_argument);
  CHECK_THROWS_AS(Address("127.0.0.1", -1), std::invalid_argument);
}

struct ReceivesAll : BaseRequestHandler<Connection> {
  void handle() override { request.sendall(request.recv(largest)); }
};

TEST_CASE("recv without a limit takes what there is, and no memory beyond that") {
  CHECK(testing::converse<ReceivesAll>("hello") == "hello");
}

TEST_CASE("max_message at its ends") {
  MessageDecoder nothing({.max_message = 0});
  std::string_view empty("\0\0\0\0", 4);
  CHECK(nothing.decode(empty) == "");
  std::string_view one("\0\0\0\1x", 5);
  CHECK_THROWS_AS(nothing.decode(one), boost::system::system_error);

  MessageDecoder everything({.prefix = LengthPrefix::uint64_big_endian, .max_message = largest});
  std::string_view endless("\xff\xff\xff\xff\xff\xff\xff\xffx", 9);
  CHECK(everything.decode(endless) == std::nullopt);
  CHECK(everything.begun() == 9);
  CHECK_THROWS_AS(everything.finish(), peer_gone_error);
}

TEST_CASE("a handshake's timeout at its ends") {
  using Server = HmacAuthMixIn<ThreadingTCPServer<Echo>>;
  for (const duration limit : {duration(0), duration(-1), most_negative}) {
    expect_refusal<Server>("time_limit",
                           [&](Server& server) { server.authentication = {.key = "key", .time_limit = limit}; });
  }
  Server server(loopback());
  server.authentication = {.key = "key", .time_limit = longest};
  const ServerThread background(server);
  auto connection = create_connection(server.server_address(), 30s);
  authenticate(connection.connection, server.authentication, AuthenticationRole::client);
  connection.wfile.write("hello\n");
  CHECK(connection.rfile.readline() == "hello\n");
}

/// Sleeps for as long as its client says is long ago.
struct SleepsNot : StreamRequestHandler {
  void handle() override {
    for (const duration length : {duration(0), duration(-1), most_negative}) this_request::sleep_for(length);
    wfile.write("awake\n");
  }
};

TEST_CASE_TEMPLATE("a sleep of no length, or less, returns at once", Server, ThreadingTCPServer<SleepsNot>,
                   FiberTCPServer<SleepsNot>) {
  Server server(loopback());
  const ServerThread background(server);
  CHECK(StreamClient(server.server_address()).read_line() == "awake\n");
}

struct NeedsAnArgument : StreamRequestHandler {
  explicit NeedsAnArgument(std::string text) : answer(std::move(text)) {}
  void handle() override { wfile.write(answer); }
  std::string answer;
};

TEST_CASE_TEMPLATE("a handler that cannot be made is noticed when serving starts", Server, TCPServer<NeedsAnArgument>,
                   ThreadingTCPServer<NeedsAnArgument>, ForkingTCPServer<NeedsAnArgument>,
                   PreForkingTCPServer<NeedsAnArgument>, ThreadPoolTCPServer<NeedsAnArgument>,
                   FiberTCPServer<NeedsAnArgument>) {
  expect_refusal<Server>("handler_factory is empty", [](Server&) {});
  Server server(loopback());
  server.handler_factory = [] { return std::make_unique<NeedsAnArgument>("hello\n"); };
  const ServerThread background(server);
  CHECK(StreamClient(server.server_address()).read_line() == "hello\n");
}

TEST_CASE_TEMPLATE("more connections than the process may have descriptors are warned of", Server, TCPServer<Greets>,
                   ThreadingTCPServer<Greets>, FiberTCPServer<Greets>) {
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  const rlimit few{256, before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
  for (const std::size_t max_connections : {100U, 10'000U}) {
    Lines lines;
    {
      Server server(loopback(), {.max_connections = max_connections, .log = lines.sink()});
      const ServerThread background(server);
      CHECK(StreamClient(server.server_address()).read_all() == "hello\n");
    }
    CHECK(lines.mention("may open only 256 descriptors") == (max_connections > 256));
  }
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
}

}  // namespace
