/// The limits of ServerOptions, where it matters what exactly a handler sees. That they hold under every mixin is shown
/// in tests/matrix/limits.cpp, their arithmetic in tests/unit/connection/client_limits.cpp.

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/buffer.hpp>
#include <functional>
#include <map>
#include <mutex>
#include <sockserv.hpp>
#include <thread>
#include <vector>

#include "support/support.hpp"

namespace {

using namespace sockserv;
using namespace support;
using boost::asio::buffer;
using detail::no_deadline;
using detail::time_point;
using detail::Transport;
using detail::WaitLimit;

/// A handler that does what the test says.
struct Does : StreamRequestHandler {
  static inline std::function<void(Does&)> what;
  void handle() override { what(*this); }
};

/// A log that the test can read.
struct Log {
  std::mutex mutex;
  std::vector<std::pair<LogLevel, std::string>> lines;

  ServerOptions operator()(ServerOptions options) {
    options.log = [this](LogLevel level, std::string_view line) {
      const std::scoped_lock lock(mutex);
      lines.emplace_back(level, line);
    };
    return options;
  }
};

TEST_CASE("a handler that catches a limit cannot go on, and what it has buffered waits for nobody") {
  Log log;
  TCPServer<Does> server(loopback(), log({.idle_timeout = 20ms}));
  Does::what = [](Does& handler) {
    handler.wfile.set_buffer_size(100);
    CHECK_THROWS_AS(handler.rfile.readline(), limit_error);
    error_code error;
    char byte = 0;
    handler.request.recv(buffer(&byte, 1), error);
    CHECK(error == errc::idle_too_long);
    handler.request.sendall("x", error);
    CHECK(error == errc::idle_too_long);
    handler.request.settimeout(1h);
    CHECK_THROWS_WITH_AS(handler.rfile.peek(), doctest::Contains("idle for too long"), limit_error);
    handler.wfile.write("for finish()");
  };
  StreamClient client(server.server_address());
  server.handle_request();
  CHECK(client.read_all().empty());
  CHECK(server.stats().aborted_idle_timeout == 1);
  CHECK(server.stats().handler_errors == 0);
  CHECK(server.stats().peers_gone == 0);
  REQUIRE(log.lines.size() == 1);  // finish() failed; quietly
  CHECK(log.lines[0].first == LogLevel::info);
  CHECK(log.lines[0].second.find("connection aborted") != std::string::npos);
  CHECK(log.lines[0].second.find('\n') == std::string::npos);
}

TEST_CASE("a client that is aborted is so at once, whatever the handler makes of it") {
  ThreadingTCPServer<Does> server(loopback(), quiet({.idle_timeout = 20ms}));
  std::atomic<bool> client_has_seen_it = false;
  Does::what = [&](Does& handler) {
    CHECK_THROWS_AS(handler.rfile.readline(), limit_error);
    CHECK(eventually([&] { return client_has_seen_it.load(); }));
  };
  ServerThread background(server);
  StreamClient client(server.server_address());
  CHECK(client.read_all().empty());
  client_has_seen_it = true;
}

TEST_CASE("a handler's own timeout comes first if it is shorter, and leaves the connection usable") {
  TCPServer<Does> server(loopback(), quiet({.idle_timeout = 1h, .request_timeout = 1h, .min_receive_rate = 1}));
  Does::what = [](Does& handler) {
    handler.request.settimeout(5ms);
    CHECK(handler.rfile.readline() == "one\n");
    CHECK_THROWS_AS(handler.rfile.readline(), timeout_error);
    handler.wfile.write("go on\n");
    handler.request.settimeout(std::nullopt);
    CHECK(handler.rfile.readline() == "half and half\n");
    handler.request.close();
    CHECK_THROWS_WITH_AS(handler.request.recv(1), doctest::Contains("Bad file descriptor"),
                         boost::system::system_error);
  };
  StreamClient client(server.server_address());
  client.send("one\nhalf ");
  std::thread serving([&] { server.handle_request(); });
  CHECK(client.read_line() == "go on\n");
  client.send("and half\n");
  serving.join();
  CHECK(server.stats().aborted_idle_timeout + server.stats().aborted_request_timeout +
            server.stats().aborted_receive_rate ==
        0);
}

TEST_CASE("request_timeout ends a client that sends without end") {
  TCPServer<Does> server(loopback(), quiet({.request_timeout = 50ms}));
  Does::what = [](Does& handler) {
    while (!handler.rfile.peek().empty()) handler.rfile.read(handler.rfile.peek().size());
  };
  StreamClient client(server.server_address());
  std::thread serving([&] { server.handle_request(); });
  const std::string much(65536, 'x');
  CHECK_THROWS([&] {
    for (;;) client.send(much);
  }());
  serving.join();
  CHECK(server.stats().aborted_request_timeout == 1);
}

/// In place of the network: what each operation does is the test's affair.
class Script final : public Transport {
 public:
  using Operation = std::function<std::size_t(std::span<const iovec>, time_point, error_code&)>;
  Operation on_receive = [](auto, auto, error_code&) { return 0; };
  Operation on_send = [](std::span<const iovec> buffers, auto, error_code&) { return buffers[0].iov_len; };

  std::size_t receive(int, std::span<const iovec> buffers, WaitLimit limit, error_code& error) noexcept override {
    error.clear();
    return on_receive(buffers, deadline_of(limit), error);
  }
  std::size_t send(int, std::span<const iovec> buffers, WaitLimit limit, error_code& error) noexcept override {
    error.clear();
    return on_send(buffers, deadline_of(limit), error);
  }
  void send_to(int, std::string_view, const Address&, const detail::Host&, error_code&) noexcept override {}
  void wait_until_ready(int, short, WaitLimit, error_code& error) noexcept override { error.clear(); }

  static time_point deadline_of(WaitLimit limit) { return limit.is_deadline() ? limit.deadline() : no_deadline; }
  static std::size_t wait_for(time_point deadline, error_code& error) {
    std::this_thread::sleep_until(deadline);
    error = errc::timed_out;
    return 0;
  }
};

/// A server whose connections wait as the script says.
struct Scripted : TCPServer<Does> {
  explicit Scripted(ServerOptions options) : TCPServer<Does>(loopback(), quiet(std::move(options))) {}
  ~Scripted() override { server_close(); }

  std::optional<std::pair<Connection, Address>> get_request() override {
    auto next = TCPServer<Does>::get_request();
    if (next) next->first = Connection(detail::Descriptor(::dup(next->first.fileno())), next->second, script);
    return next;
  }

  void serve(std::function<void(Does&)> body) {
    Does::what = std::move(body);
    const StreamClient client(server_address());
    handle_request();
  }

  Script script;
};

TEST_CASE("without limits, no operation has a deadline") {
  Scripted server({});
  std::vector<time_point> deadlines;
  server.script.on_receive = [&](auto, time_point deadline, error_code&) {
    deadlines.push_back(deadline);
    return 0;
  };
  server.serve([](Does& handler) {
    handler.request.settimeout(1ms);
    handler.rfile.readline();
  });
  CHECK(deadlines == std::vector{no_deadline});
}

TEST_CASE("min_receive_rate concerns the rest of an item, however it is read, and not the wait for its beginning") {
  const auto reads = {
      std::function([](Does& handler) { handler.rfile.readline(); }),
      std::function([](Does& handler) { handler.rfile.read(4); }),
      std::function([](Does& handler) { handler.rfile.read_exactly(4); }),
      std::function([](Does& handler) {
        std::array<char, 4> space{};
        handler.request.recv_exactly(buffer(space));
      }),
  };
  for (const auto& read : reads) {
    Scripted server({.min_receive_rate = 1});
    std::vector<bool> limited;
    std::string_view input = "abc\n";
    server.script.on_receive = [&](std::span<const iovec> buffers, time_point deadline, error_code&) {
      limited.push_back(deadline != no_deadline);
      *static_cast<char*>(buffers[0].iov_base) = input.front();
      input.remove_prefix(1);
      return 1;
    };
    server.serve(read);
    CHECK(limited == std::vector{false, true, true, true});
  }
}

TEST_CASE("min_receive_rate concerns all that is read as one item, also where a piece of it ends") {
  const auto read_two_lines = [](Does& handler) {
    handler.rfile.readline();
    handler.rfile.readline();
  };
  const auto limited_reads = [](const std::function<void(Does&)>& read) {
    Scripted server({.min_receive_rate = 1});
    std::vector<bool> limited;
    std::string_view input = "a\nb\n";
    server.script.on_receive = [&](std::span<const iovec> buffers, time_point deadline, error_code&) {
      limited.push_back(deadline != no_deadline);
      *static_cast<char*>(buffers[0].iov_base) = input.front();
      input.remove_prefix(1);
      return 1;
    };
    server.serve(read);
    return limited;
  };
  CHECK(limited_reads(read_two_lines) == std::vector{false, true, false, true});
  CHECK(limited_reads([&](Does& handler) {
          const InputFile::OneItem both(handler.rfile);
          read_two_lines(handler);
        }) == std::vector{false, true, true, true});
}

TEST_CASE("a client that takes what one thread sends is not idle for another that waits to receive") {
  Scripted server({.idle_timeout = 10ms});
  int waits = 0;
  Connection* request = nullptr;
  server.script.on_receive = [&](auto, time_point deadline, error_code& error) {
    Script::wait_for(deadline - 1ms, error);
    if (++waits < 3) request->sendall("x");  // as another thread would, before the time is up
    return Script::wait_for(deadline, error);
  };
  server.serve([&](Does& handler) {
    request = &handler.request;
    CHECK_THROWS_AS(handler.request.recv(1), limit_error);
  });
  CHECK(waits == 3);
  CHECK(server.stats().aborted_idle_timeout == 1);
}

TEST_CASE("a transport that returns too early has to wait again") {
  Scripted server({.request_timeout = 10ms});
  int waits = 0;
  server.script.on_send = [&](auto, time_point deadline, error_code& error) {
    return Script::wait_for(++waits < 3 ? time_point{} : deadline, error);
  };
  server.serve([](Does& handler) { CHECK_THROWS_AS(handler.wfile.write("x"), limit_error); });
  CHECK(waits == 3);
  CHECK(server.stats().aborted_request_timeout == 1);
}

TEST_CASE("max_connections: the loop is woken when there is room") {
  ThreadingTCPServer<Does> server(loopback(), {.max_connections = 1});
  Does::what = [](Does& handler) {
    handler.wfile.write("yes\n");
    handler.rfile.readline();
  };
  std::thread serving([&] { server.serve_forever(1h); });
  std::vector<StreamClient> clients;
  for (int i = 0; i < 3; ++i) clients.emplace_back(server.server_address());
  for (StreamClient& client : clients) {
    CHECK(client.read_line() == "yes\n");
    client.close();
  }
  server.shutdown();
  serving.join();
}

/// Rejects what it is told to, and hears why.
struct Rejects : ThreadingTCPServer<Does> {
  explicit Rejects(ServerOptions options) : ThreadingTCPServer<Does>(loopback(), std::move(options)) {}
  ~Rejects() override { server_close(); }
  bool verify_request(Connection&, const Address&) override { return !rejects_all; }
  void request_rejected(Connection& request, const Address& client_address, Rejection reason) override {
    CHECK(client_address == request.getpeername());
    ++reasons[reason];
    request.sendall("no\n");
  }
  bool rejects_all = false;
  std::map<Rejection, int> reasons;
};

TEST_CASE("all rejections are counted by reason and use one hook; many from one address are one line in the log") {
  Log log;
  Rejects server(log({.max_connections_per_address = 1}));
  Does::what = [](Does& handler) {
    handler.wfile.write("yes\n");
    handler.rfile.readline();
  };
  StreamClient first(server.server_address());
  server.handle_request();
  CHECK(first.read_line() == "yes\n");
  for (int i = 0; i < 10; ++i) {
    StreamClient another(server.server_address());
    server.handle_request();
    CHECK(another.read_all() == "no\n");
  }
  CHECK(server.reasons == std::map<Rejection, int>{{Rejection::per_address, 10}});
  first.close();
  CHECK(eventually([&] { return server.stats().completed == 1; }));

  server.rejects_all = true;
  StreamClient another(server.server_address());
  server.handle_request();
  CHECK(another.read_all() == "no\n");
  CHECK(server.reasons[Rejection::unverified] == 1);

  const ServerStats stats = server.stats();
  CHECK(stats.accepted == 12);
  CHECK(stats.completed == 1);
  CHECK(stats.rejected == 11);
  CHECK(stats.rejected_per_address == 10);
  CHECK(stats.rejected_unverified == 1);
  REQUIRE(!log.lines.empty());
  CHECK(log.lines.size() < 10);  // one a second, however slow the machine may be
  CHECK(log.lines[0].first == LogLevel::info);
  CHECK(log.lines[0].second.find("127.0.0.1:") == 0);
}

TEST_CASE("clients of a Unix socket have no address to be counted by") {
  const TemporaryFolder folder;
  ThreadingUnixStreamServer<Does> server(folder / "server", {.max_connections_per_address = 1});
  Does::what = [](Does& handler) { handler.rfile.readline(); };
  ServerThread background(server);
  const StreamClient first(server.server_address());
  const StreamClient second(server.server_address());
  CHECK(eventually([&] { return server.requests_running() == 2; }));
  CHECK(server.stats().rejected == 0);
}

TEST_CASE("datagrams count as what they hold, both ways") {
  struct Twice : DatagramRequestHandler {
    void handle() override { wfile.write(packet + packet); }
  };
  UDPServer<Twice> server(loopback());
  DatagramClient client(server.server_address());
  for (const char* packet : {"", "abc", "de"}) {
    client.send(packet);
    server.handle_request();
    client.receive();
  }
  CHECK(server.stats().bytes_in == 5);
  CHECK(server.stats().bytes_out == 10);
  CHECK(server.stats().completed == 3);
}

TEST_CASE("what a drain aborts is counted") {
  ThreadingTCPServer<Does> server(loopback(), quiet());
  Does::what = [](Does& handler) { handler.rfile.readline(); };
  ServerThread background(server);
  const StreamClient client(server.server_address());
  CHECK(eventually([&] { return server.requests_running() == 1; }));
  CHECK(server.drain(0ms).aborted == 1);
  CHECK(server.stats().aborted_drain == 1);
}

}  // namespace
