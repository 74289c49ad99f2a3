/// CPython's Lib/test/test_socketserver.py, test by test under its own name: what it checks, and no less.

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <boost/thread/exceptions.hpp>
#include <csignal>
#include <future>
#include <set>
#include <sockserv.hpp>
#include <thread>

#include "support/support.hpp"

namespace {

using namespace sockserv;
using namespace support;

struct MyStreamHandler : StreamRequestHandler {
  void handle() override {
    const auto line = rfile.readline();
    if (line) wfile.write(*line);
  }
};

struct MyDatagramHandler : DatagramRequestHandler {
  void handle() override { wfile.write(rfile.read()); }
};

constexpr std::array<std::string_view, 3> teststring_lines{"hello world\n", "and again\n", "\n"};

void stream_examine(const Address& server) {
  for (const std::string_view line : teststring_lines) {
    StreamClient client(server);
    client.send(line);
    CHECK(client.read_line() == line);
    CHECK(client.read_all().empty());
  }
}

void dgram_examine(const Address& server) {
  DatagramClient client(server);
  for (const std::string_view packet : teststring_lines) {
    client.send(packet);
    CHECK(client.receive() == packet);
  }
}

Address free_ip_address() { return {"127.0.0.1", 0}; }

/// The body that upstream's first twelve tests share, and those here for the mixins that upstream has not.
template <class Server>
void run_server(const Address& address, void (*examine)(const Address&)) {
  Server server(address);
  CHECK(server.server_address() == detail::ServerSocket::address_of(server.fileno()));
  std::thread thread([&] { server.serve_forever(); });
  examine(server.server_address());
  server.shutdown();
  thread.join();
  server.server_close();
  CHECK(server.fileno() == -1);
}

/// The same, with an unrelated child of the program about, which is none of the server's business.
template <class Server>
void run_forking_server(const Address& address, void (*examine)(const Address&)) {
  const pid_t unrelated = ::fork();
  if (unrelated == 0) ::_exit(72);
  {
    Server server(address);
    ServerThread background(server);
    examine(server.server_address());
    background.stop();
    CHECK(server.active_children().empty());
  }
  run_server<Server>(address, examine);
  int status = 0;
  REQUIRE(::waitpid(unrelated, &status, 0) == unrelated);
  CHECK(WEXITSTATUS(status) == 72);
}

TEST_CASE("test_TCPServer") { run_server<TCPServer<MyStreamHandler>>(free_ip_address(), stream_examine); }
TEST_CASE("test_ThreadingTCPServer") {
  run_server<ThreadingTCPServer<MyStreamHandler>>(free_ip_address(), stream_examine);
}
TEST_CASE("test_ThreadingTCPServer, with fibers") {
  run_server<FiberTCPServer<MyStreamHandler>>(free_ip_address(), stream_examine);
}
TEST_CASE("test_ForkingTCPServer") {
  run_forking_server<ForkingTCPServer<MyStreamHandler>>(free_ip_address(), stream_examine);
}
TEST_CASE("test_PreForkingTCPServer") {
  run_forking_server<PreForkingTCPServer<MyStreamHandler>>(free_ip_address(), stream_examine);
}
TEST_CASE("test_UnixStreamServer") {
  const TemporaryFolder folder;
  run_server<UnixStreamServer<MyStreamHandler>>(folder / "socket", stream_examine);
}
TEST_CASE("test_ThreadingUnixStreamServer") {
  const TemporaryFolder folder;
  run_server<ThreadingUnixStreamServer<MyStreamHandler>>(folder / "socket", stream_examine);
}
TEST_CASE("test_ThreadingUnixStreamServer, with fibers") {
  const TemporaryFolder folder;
  run_server<FiberUnixStreamServer<MyStreamHandler>>(folder / "socket", stream_examine);
}
TEST_CASE("test_ForkingUnixStreamServer") {
  const TemporaryFolder folder;
  run_forking_server<ForkingUnixStreamServer<MyStreamHandler>>(folder / "socket", stream_examine);
}
TEST_CASE("test_PreForkingUnixStreamServer") {
  const TemporaryFolder folder;
  run_forking_server<PreForkingUnixStreamServer<MyStreamHandler>>(folder / "socket", stream_examine);
}
TEST_CASE("test_UDPServer") { run_server<UDPServer<MyDatagramHandler>>(free_ip_address(), dgram_examine); }
TEST_CASE("test_ThreadingUDPServer") {
  run_server<ThreadingUDPServer<MyDatagramHandler>>(free_ip_address(), dgram_examine);
}
TEST_CASE("test_ThreadingUDPServer, with fibers") {
  run_server<FiberUDPServer<MyDatagramHandler>>(free_ip_address(), dgram_examine);
}
TEST_CASE("test_ForkingUDPServer") {
  run_forking_server<ForkingUDPServer<MyDatagramHandler>>(free_ip_address(), dgram_examine);
}
TEST_CASE("test_PreForkingUDPServer") {
  run_forking_server<PreForkingUDPServer<MyDatagramHandler>>(free_ip_address(), dgram_examine);
}
TEST_CASE("test_UnixDatagramServer") {
  const TemporaryFolder folder;
  run_server<UnixDatagramServer<MyDatagramHandler>>(folder / "socket", dgram_examine);
}
TEST_CASE("test_ThreadingUnixDatagramServer") {
  const TemporaryFolder folder;
  run_server<ThreadingUnixDatagramServer<MyDatagramHandler>>(folder / "socket", dgram_examine);
}
TEST_CASE("test_ThreadingUnixDatagramServer, with fibers") {
  const TemporaryFolder folder;
  run_server<FiberUnixDatagramServer<MyDatagramHandler>>(folder / "socket", dgram_examine);
}
TEST_CASE("test_ForkingUnixDatagramServer") {
  const TemporaryFolder folder;
  run_forking_server<ForkingUnixDatagramServer<MyDatagramHandler>>(folder / "socket", dgram_examine);
}
TEST_CASE("test_PreForkingUnixDatagramServer") {
  const TemporaryFolder folder;
  run_forking_server<PreForkingUnixDatagramServer<MyDatagramHandler>>(folder / "socket", dgram_examine);
}

TEST_CASE("test_shutdown") {
  for (int i = 0; i < 20; ++i) {
    TCPServer<MyStreamHandler> server(free_ip_address());
    std::thread thread([&] { server.serve_forever(); });
    server.shutdown();
    thread.join();
  }
}

TEST_CASE("test_close_immediately") {
  ThreadingTCPServer<MyStreamHandler> server(free_ip_address());
  server.server_close();
  CHECK(server.fileno() == -1);
}

TEST_CASE("test_close_immediately, with fibers") {
  FiberTCPServer<MyStreamHandler> server(free_ip_address());
  server.server_close();
  CHECK(server.fileno() == -1);
}

TEST_CASE("test_tcpserver_bind_leak") {
  const TCPServer<MyStreamHandler> holder(free_ip_address());
  const auto descriptors = open_descriptors();
  for (int i = 0; i < 1024; ++i) {
    REQUIRE_THROWS_AS(TCPServer<MyStreamHandler>(holder.server_address()), boost::system::system_error);
  }
  CHECK(open_descriptors() == descriptors);
}

TEST_CASE("test_context_manager") {
  const auto descriptors = open_descriptors();
  {
    const TCPServer<MyStreamHandler> server(free_ip_address());
    CHECK(server.fileno() >= 0);
  }
  CHECK(open_descriptors() == descriptors);
}

/// What upstream's error tests observe, from whichever process or thread it happens in.
struct Events {
  std::atomic<int> handle_error = 0;
  std::atomic<int> shutdown_request = 0;
};

struct ValueError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// A handler that throws a given thing. Python's SystemExit is no error but a request to leave; here that is
/// boost::thread_interrupted.
template <class Exception>
struct BadHandler : BaseRequestHandler<Connection> {
  void handle() override {
    if constexpr (std::is_constructible_v<Exception, const char*>) {
      throw Exception("Test error");
    } else {
      throw Exception();
    }
  }
};

template <class Base>
struct BaseErrorTestServer : Base {
  explicit BaseErrorTestServer(Events& seen) : Base(free_ip_address()), events(seen) {}
  ~BaseErrorTestServer() override { this->server_close(); }

  void handle_error(const Address&, std::exception_ptr error) override {
    CHECK_THROWS_AS(std::rethrow_exception(error), ValueError);
    ++events.handle_error;
  }
  void shutdown_request(Connection& request) override {
    ++events.shutdown_request;
    Base::shutdown_request(request);
  }

  Events& events;
};

template <class Base>
void check_error(int handled) {
  const Shared<Events> events;
  {
    BaseErrorTestServer<Base> server(*events);
    StreamClient client(server.server_address());
    server.handle_request();
    CHECK(client.read_all().empty());  // closed, whatever happened
    server.server_close();
  }
  CHECK(events->handle_error == handled);
  CHECK(events->shutdown_request == 1);
}

using Interrupted = boost::thread_interrupted;

TEST_CASE("test_sync_handled") { check_error<TCPServer<BadHandler<ValueError>>>(1); }
TEST_CASE("test_sync_not_handled") {
  const Shared<Events> events;
  BaseErrorTestServer<TCPServer<BadHandler<Interrupted>>> server(*events);
  StreamClient client(server.server_address());
  CHECK_THROWS_AS(server.handle_request(), Interrupted);
  CHECK(client.read_all().empty());
  CHECK(events->handle_error == 0);
  CHECK(events->shutdown_request == 1);
}
TEST_CASE("test_threading_handled") { check_error<ThreadingTCPServer<BadHandler<ValueError>>>(1); }
TEST_CASE("test_threading_not_handled") { check_error<ThreadingTCPServer<BadHandler<Interrupted>>>(0); }
TEST_CASE("test_threading_handled, with fibers") { check_error<FiberTCPServer<BadHandler<ValueError>>>(1); }
TEST_CASE("test_threading_not_handled, with fibers") { check_error<FiberTCPServer<BadHandler<Interrupted>>>(0); }
TEST_CASE("test_forking_handled") { check_error<ForkingTCPServer<BadHandler<ValueError>>>(1); }
TEST_CASE("test_forking_not_handled") { check_error<ForkingTCPServer<BadHandler<Interrupted>>>(0); }

TEST_CASE("test_basics") {
  struct Handler : StreamRequestHandler {
    void handle() override {
      static_assert(std::is_same_v<decltype(wfile), OutputFile>);
      CHECK(request.fileno() >= 0);
      CHECK(wfile.fileno() == request.fileno());
      CHECK(rfile.fileno() == request.fileno());
      CHECK(connection.fileno() == request.fileno());
      wfile.write("done\n");
    }
  };
  TCPServer<Handler> server(free_ip_address());
  StreamClient client(server.server_address());
  server.handle_request();
  CHECK(client.read_all() == "done\n");
}

/// Writes at once, without a flush, and whole, however many signals interrupt it.
TEST_CASE("test_write") {
  static constexpr std::size_t large = std::size_t{16} << 20;
  static std::promise<pthread_t> writer;
  static std::atomic<std::size_t> returned = 0;
  struct Handler : StreamRequestHandler {
    void handle() override {
      CHECK(wfile.write("before flush\n") == 13);
      rfile.readline();
      writer.set_value(::pthread_self());
      returned = wfile.write(std::string(large, 'x'));
    }
  };
  struct sigaction ignore_but_interrupt{};
  ignore_but_interrupt.sa_handler = [](int) {};
  struct sigaction before{};
  REQUIRE(::sigaction(SIGUSR1, &ignore_but_interrupt, &before) == 0);
  {
    TCPServer<Handler> server(free_ip_address());
    ServerThread background(server);
    StreamClient client(server.server_address());
    CHECK(client.read_line() == "before flush\n");
    client.send("go\n");
    const pthread_t thread = writer.get_future().get();
    std::size_t received = 0;
    std::string buffer(1 << 16, '\0');
    while (received < large) {
      if (returned == 0) ::pthread_kill(thread, SIGUSR1);
      const ssize_t count = ::recv(client.fileno(), buffer.data(), buffer.size(), 0);
      REQUIRE(count > 0);
      received += static_cast<std::size_t>(count);
    }
    CHECK(client.read_all().empty());
    CHECK(received == large);
  }
  CHECK(returned == large);
  ::sigaction(SIGUSR1, &before, nullptr);
}

/// Upstream checks that everything public is exported; here, that one header gives every name and that the hierarchy
/// is Python's.
TEST_CASE("test_all") {
  using S = MyStreamHandler;
  using D = MyDatagramHandler;
  static_assert(std::derived_from<TCPServer<S>, BaseServer<S>>);
  static_assert(std::derived_from<UDPServer<D>, TCPServer<D>>);
  static_assert(std::derived_from<UnixStreamServer<S>, TCPServer<S>>);
  static_assert(std::derived_from<UnixDatagramServer<D>, UDPServer<D>>);
  static_assert(std::derived_from<StreamRequestHandler, BaseRequestHandler<Connection>>);
  static_assert(std::derived_from<DatagramRequestHandler, BaseRequestHandler<Datagram>>);
  static_assert(std::derived_from<ThreadingTCPServer<S>, ThreadingMixIn<TCPServer<S>>>);
  static_assert(std::derived_from<ThreadingTCPServer<S>, TCPServer<S>>);
  static_assert(std::derived_from<ThreadingUDPServer<D>, UDPServer<D>>);
  static_assert(std::derived_from<ThreadingUnixStreamServer<S>, UnixStreamServer<S>>);
  static_assert(std::derived_from<ThreadingUnixDatagramServer<D>, UnixDatagramServer<D>>);
  static_assert(std::derived_from<ThreadPoolTCPServer<S>, ThreadPoolMixIn<TCPServer<S>>>);
  static_assert(std::derived_from<ThreadPoolTCPServer<S>, TCPServer<S>>);
  static_assert(std::derived_from<ForkingTCPServer<S>, ForkingMixIn<TCPServer<S>>>);
  static_assert(std::derived_from<ForkingUDPServer<D>, UDPServer<D>>);
  static_assert(std::derived_from<ForkingUnixStreamServer<S>, UnixStreamServer<S>>);
  static_assert(std::derived_from<ForkingUnixDatagramServer<D>, UnixDatagramServer<D>>);
  static_assert(std::same_as<TCPServer<S>::RequestHandlerClass, S>);
}

TEST_CASE("test_shutdown_request_called_if_verify_request_false") {
  struct MyServer : TCPServer<MyStreamHandler> {
    using TCPServer::TCPServer;
    bool verify_request(Connection&, const Address&) override { return false; }
    void shutdown_request(Connection& request) override {
      ++shutdown_called;
      TCPServer::shutdown_request(request);
    }
    int shutdown_called = 0;
  };
  MyServer server(free_ip_address());
  StreamClient client(server.server_address());
  server.handle_request();
  CHECK(client.read_all().empty());
  CHECK(server.shutdown_called == 1);
}

TEST_CASE("test_threads_reaped") {
  ThreadingTCPServer<MyStreamHandler> server(free_ip_address());
  for (int i = 0; i < 10; ++i) {
    StreamClient client(server.server_address());
    client.send("hello\n");
    server.handle_request();
    CHECK(client.read_all() == "hello\n");
  }
  // Python's list shrinks at the next request; ours is empty as soon as the threads have ended.
  CHECK(eventually([&] { return server.requests_running() == 0; }));
  server.server_close();
}

}  // namespace
