#include <sockserv/server/base.hpp>  // first, to test that it is self-contained

#include <doctest/doctest.h>
#include <sys/wait.h>

#include <atomic>
#include <memory>
#include <sockserv.hpp>
#include <sockserv/layer/hmac_auth.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/serving.hpp"
#include "support/support.hpp"

namespace {

using namespace sockserv;
using namespace support;
using sockserv::testing::converse;

const ServerOptions unbound{.bind_and_activate = false};

/// Answers with what it was constructed with, and where that is.
struct Keeps : StreamRequestHandler {
  Keeps(std::string& given, const std::vector<int>& numbers, const std::unique_ptr<std::string>& owned)
      : text(given), count(numbers.size()), pointer(owned.get()) {}
  void handle() override {
    seen.push_back(&text);
    seen.push_back(pointer);
    text += '!';
    wfile.write(text + std::to_string(count) + *pointer);
  }
  std::string& text;
  std::size_t count;
  std::string* pointer;

  inline static std::vector<const std::string*> seen;
};

TEST_CASE("lvalues reach handlers as the objects that they are, rvalues from where the server keeps them") {
  TCPServer<Keeps> server(loopback(), unbound);
  std::string text = "text";
  auto owned = std::make_unique<std::string>("owned");
  const std::string* const pointee = owned.get();
  server.construct_handlers_with(text, std::vector<int>(3), std::move(owned));
  Keeps::seen.clear();
  CHECK(converse(server, "") == "text!3owned");
  CHECK(converse(server, "") == "text!!3owned");
  CHECK(text == "text!!");
  CHECK(Keeps::seen == std::vector<const std::string*>{&text, pointee, &text, pointee});
}

/// Has constructors that tell what they were given.
struct Tells : StreamRequestHandler {
  Tells() : said("nothing") {}
  explicit Tells(std::string&) : said("a string") {}
  explicit Tells(const std::string&) : said("a const string") {}
  explicit Tells(std::string&&) : said("a string that it may take") {}
  explicit Tells(const char* text) : said(text) {}
  void handle() override { wfile.write(said); }
  std::string_view said;
};

TEST_CASE("the arguments choose the constructor, and a later call replaces an earlier one") {
  TCPServer<Tells> server(loopback(), unbound);
  std::string text;
  CHECK(converse(server, "") == "nothing");
  server.construct_handlers_with(text);
  CHECK(converse(server, "") == "a string");
  server.construct_handlers_with(std::as_const(text));
  CHECK(converse(server, "") == "a const string");
  server.construct_handlers_with(std::string());
  CHECK(converse(server, "") == "a const string");
  server.construct_handlers_with(std::ref(text));
  CHECK(converse(server, "") == "a string");
  server.construct_handlers_with("a literal");
  CHECK(converse(server, "") == "a literal");
  server.construct_handlers_with();
  CHECK(converse(server, "") == "nothing");
}

/// Sends what it was given, by what its constructor has set.
struct Buffers : StreamRequestHandler {
  Buffers(std::size_t size, std::string& left) : pending(left) { wbufsize = size; }
  void handle() override {
    wfile.write("hello\n");
    pending = wfile.pending();
  }
  std::string& pending;
};

TEST_CASE("a constructor with arguments has the settings, the request and the server, as one without") {
  std::string pending;
  TCPServer<Buffers> buffers(loopback(), unbound);
  buffers.construct_handlers_with(std::size_t{100}, pending);
  CHECK(converse(buffers, "") == "hello\n");
  CHECK(pending == "hello\n");

  struct Early : DatagramRequestHandler {
    explicit Early(AbstractServer& expected)
        : answer(packet + " from " + client_address.to_string() + (&server == &expected ? "" : " elsewhere")) {}
    void handle() override { wfile.write(answer); }
    std::string answer;
  };
  UDPServer<Early> server(loopback(), unbound);
  server.construct_handlers_with(static_cast<AbstractServer&>(server));
  CHECK(converse(server, "hi", {.client_address = {"192.0.2.7", 7}}) == "hi from 192.0.2.7:7");
}

TEST_CASE("a handler that is being run constructs no other, also if it has arguments") {
  struct Nested : StreamRequestHandler {
    explicit Nested(int& count) : depth(count) {}
    void handle() override {
      ++depth;
      Nested another(depth);
    }
    int& depth;
  };
  TCPServer<Nested> server(loopback(), unbound);
  int depth = 0;
  server.construct_handlers_with(depth);
  CHECK_THROWS_WITH_AS(converse(server, ""), doctest::Contains("constructed by its server"), std::logic_error);
  CHECK(depth == 1);
}

/// Throws for every other request.
struct Refuses : StreamRequestHandler {
  explicit Refuses(std::atomic<int>& made) {
    if (++made % 2 == 1) throw std::runtime_error("no handler this time");
  }
  void handle() override { wfile.write("served\n"); }
};

TEST_CASE_TEMPLATE("what a handler's constructor throws is that request's error", Server, TCPServer<Refuses>,
                   ThreadingTCPServer<Refuses>, ThreadPoolTCPServer<Refuses>, FiberTCPServer<Refuses>) {
  std::atomic<int> made = 0;
  Lines log;
  Server server(loopback(), {.log = log.sink()});
  server.construct_handlers_with(made);
  const ServerThread background(server);
  for (std::uint64_t i = 1; i <= 3; ++i) {
    CHECK(StreamClient(server.server_address()).read_all().empty());
    CHECK(StreamClient(server.server_address()).read_all() == "served\n");
    CHECK(server.stats().handler_errors == i);
  }
  CHECK(log.mention("no handler this time"));
}

/// Counts, in memory that all processes share, and says hello.
template <class Base>
struct Counted : Base {
  Counted(std::atomic<int>& requests, const std::string& text) : greeting(text) { ++requests; }
  void handle() override { this->wfile.write(greeting + "\n"); }
  const std::string& greeting;
};
using CountedStream = Counted<StreamRequestHandler>;
using CountedDatagram = Counted<DatagramRequestHandler>;

#define EVERY_MIXIN(Family, Handler)                                                                  \
  Family<Handler>, Threading##Family<Handler>, Forking##Family<Handler>, ThreadPool##Family<Handler>, \
      PreForking##Family<Handler>, Fiber##Family<Handler>, PreForkingFiber##Family<Handler>

TEST_CASE_TEMPLATE("every mixin constructs handlers with arguments", Server, EVERY_MIXIN(TCPServer, CountedStream),
                   EVERY_MIXIN(UDPServer, CountedDatagram), EVERY_MIXIN(UnixStreamServer, CountedStream),
                   EVERY_MIXIN(UnixDatagramServer, CountedDatagram)) {
  constexpr bool streams = std::is_same_v<typename Server::request_type, Connection>;
  constexpr bool is_ip = !std::is_base_of_v<UnixStreamServer<CountedStream>, Server> &&
                         !std::is_base_of_v<UnixDatagramServer<CountedDatagram>, Server>;
  const TemporaryFolder folder;
  const Shared<std::atomic<int>> requests;
  Server server(is_ip ? loopback() : Address(folder / "server"));
  if constexpr (requires { server.processes; }) server.processes = 2;
  server.construct_handlers_with(*requests, std::string("hello"));
  const ServerThread background(server);
  for (int i = 1; i <= 3; ++i) {
    if constexpr (streams) {
      CHECK(StreamClient(server.server_address()).read_all() == "hello\n");
    } else {
      DatagramClient client(server.server_address());
      client.send("x");
      CHECK(client.receive() == "hello\n");
    }
    CHECK(*requests == i);
  }
}

/// Counts what it has been given, and answers with that.
struct Counts : StreamRequestHandler {
  explicit Counts(int& shared) : count(shared) {}
  void handle() override { wfile.write(std::to_string(++count)); }
  int& count;
};

TEST_CASE("under forking, a reference is to the child's copy") {
  int count = 0;
  ForkingTCPServer<Counts> server(loopback());
  server.construct_handlers_with(count);
  const ServerThread background(server);
  for (int i = 0; i < 2; ++i) CHECK(StreamClient(server.server_address()).read_all() == "1");
  CHECK(count == 0);
}

TEST_CASE("under pre-forking, a reference is to the worker's copy, which its requests share") {
  int count = 0;
  PreForkingTCPServer<Counts> server(loopback());
  server.processes = 1;
  server.construct_handlers_with(count);
  const ServerThread background(server);
  for (const char* const expected : {"1", "2", "3"}) {
    CHECK(StreamClient(server.server_address()).read_all() == expected);
  }
  CHECK(count == 0);
}

TEST_CASE("an override of finish_request that calls its base's has handlers with arguments") {
  struct Greeting : TCPServer<Counts> {
    using TCPServer::TCPServer;
    void finish_request(Connection& request, const Address& client_address) override {
      request.sendall("visit ");
      TCPServer::finish_request(request, client_address);
    }
  };
  int count = 6;
  Greeting server(loopback(), unbound);
  server.construct_handlers_with(count);
  CHECK(converse(server, "") == "visit 7");
}

TEST_CASE("an authenticated client's handler has its arguments") {
  int count = 41;
  HmacAuthMixIn<FiberTCPServer<Counts>> server(loopback());
  server.authentication = {.key = "key"};
  server.construct_handlers_with(count);
  const ServerThread background(server);
  auto client = create_connection(server.server_address(), patience);
  authenticate(client.connection, {.key = "key"}, AuthenticationRole::client);
  CHECK(client.rfile.read() == "42");
}

TEST_CASE("a server with both a factory and arguments for its handlers refuses to serve") {
  int count = 0;
  TCPServer<Counts> server(loopback());
  server.construct_handlers_with(count);
  server.handler_factory = [&] { return std::make_unique<Counts>(count); };
  CHECK_THROWS_WITH_AS(server.serve_forever(), doctest::Contains("construct_handlers_with"), std::invalid_argument);
  CHECK_THROWS_WITH_AS(server.handle_request(), doctest::Contains("handler_factory"), std::invalid_argument);
}

/// Says that it is here and stays until the client goes; then uses what it was constructed with.
struct Remembers : StreamRequestHandler {
  explicit Remembers(std::vector<std::string>& shared) : names(shared) {}
  void handle() override {
    wfile.write("here\n");
    rfile.readline();
    names.emplace_back("served");
  }
  std::vector<std::string>& names;
};

/// A server that owns what its handlers use.
template <class Base>
struct Owner : Base {
  explicit Owner(bool is_careful) : Base(loopback()), careful(is_careful) { this->construct_handlers_with(names); }
  ~Owner() override {
    if (careful) this->server_close();
  }
  std::vector<std::string> names;
  bool careful;
};

template <class Base>
void check_an_owner() {
  {
    Owner<Base> server(true);
    ServerThread background(server);
    StreamClient client(server.server_address());
    CHECK(client.read_line() == "here\n");
    client.close();
    background.stop();
    CHECK(server.names == std::vector<std::string>{"served"});
  }
  const auto [status, text] = in_child([] {
    Owner<Base> server(false);
    StreamClient client(server.server_address());
    server.handle_request();
    client.read_line();
    server.~Owner();
  });
  CHECK(WIFSIGNALED(status));
  CHECK(text.find("is destroyed while it serves, so its handlers use members that are gone") != std::string::npos);
}

TEST_CASE("a derived server gives handlers its own members, and is not destroyed under them in silence") {
  SUBCASE("ThreadingMixIn") { check_an_owner<ThreadingTCPServer<Remembers>>(); }
  SUBCASE("ThreadPoolMixIn") { check_an_owner<ThreadPoolTCPServer<Remembers>>(); }
  SUBCASE("FiberMixIn") { check_an_owner<FiberTCPServer<Remembers>>(); }
}

}  // namespace
