/// A fiber learns of what happens to its connection once, when it happens; here is all that can be missed, or taken for
/// something else. All fibers of a test share one thread.

#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <boost/asio/error.hpp>
#include <cstring>
#include <functional>
#include <thread>
#include <vector>

#include "integration/acting.hpp"
#include "support/support.hpp"

namespace {

using namespace acting;
using namespace support;
using std::chrono::hours;
using std::chrono::steady_clock;

constexpr std::size_t mebibyte = std::size_t{1} << 20;
/// More than a connection's buffers take, however far they grow.
constexpr std::size_t more_than_fits = 16 * mebibyte;

/// Two ways to read to the end of the stream: without and with a buffer.
std::string received_to_the_end(StreamRequestHandler& handler) {
  std::string all;
  for (std::string part; !(part = handler.request.recv(4096)).empty();) all += part;
  return all;
}
std::string read_to_the_end(StreamRequestHandler& handler) { return handler.rfile.read(); }

using Reader = std::string (*)(StreamRequestHandler&);
constexpr std::array<Reader, 2> readers{received_to_the_end, read_to_the_end};

TEST_CASE("fiber: the end of the stream that comes together with data, before or after the fiber waits, is seen") {
  for (const Reader read : readers) {
    OneLoop server([read](StreamRequestHandler& handler) {
      std::string all = read(handler);
      CHECK(handler.request.recv(100).empty());  // it stays the end
      CHECK(handler.request.recv(100).empty());
      handler.wfile.write(all);
    });
    std::vector<StreamClient> clients;
    const auto expect_answers = [&](const std::string& answer) {
      for (StreamClient& client : clients) CHECK(client.read_all() == answer);
      clients.clear();
    };
    for (int i = 0; i < 10; ++i) {  // before the server has begun
      clients.emplace_back(server.server_address());
      clients.back().send("hello");
      clients.back().shutdown_write();
    }
    const ServerThread background(server);
    expect_answers("hello");
    for (int i = 0; i < 50; ++i) {
      clients.emplace_back(server.server_address());
      const int cork = 1;  // so that data and end are one segment
      REQUIRE(::setsockopt(clients.back().fileno(), IPPROTO_TCP, TCP_CORK, &cork, sizeof cork) == 0);
    }
    CHECK(eventually([&] { return server.requests_running() == 50; }));
    for (StreamClient& client : clients) {
      client.send("hello again");
      client.shutdown_write();
    }
    expect_answers("hello again");
    for (int i = 0; i < 10; ++i) {  // an end without data
      clients.emplace_back(server.server_address());
      clients.back().shutdown_write();
    }
    expect_answers("");
  }
}

TEST_CASE("fiber: half a connection may end long before the other") {
  OneLoop server([](StreamRequestHandler& handler) {
    const std::string all = handler.rfile.read();
    for (int i = 0; i < 3; ++i) {
      handler.wfile.write(all);
      this_request::sleep_for(1ms);
    }
    handler.wfile.write(std::string(more_than_fits, 'x'));  // waits for room after the end was seen
  });
  const ServerThread background(server);
  StreamClient client(server.server_address());
  client.send("hello\n");
  client.shutdown_write();
  for (int i = 0; i < 3; ++i) CHECK(client.read_line() == "hello\n");
  CHECK(client.read_all().size() == more_than_fits);
}

/// Reads until six bytes have come, and says so of each.
void count_six(StreamRequestHandler& handler) {
  std::string all;
  while (all.size() < 6) {
    all += handler.request.recv(4096);
    handler.wfile.write(std::to_string(all.size()) + "\n");
  }
  handler.wfile.write(all);
}

void hear_at_least(StreamClient& client, int count) {
  while (std::stoi(client.read_line()) < count) continue;
}

TEST_CASE("fiber: urgent data between ordinary data does not hide what follows it") {
  OneLoop server(count_six);
  const auto send_urgent = [](StreamClient& client) { REQUIRE(::send(client.fileno(), "!", 1, MSG_OOB) == 1); };
  StreamClient early(server.server_address());
  early.send("abc");
  send_urgent(early);
  early.send("def");
  const ServerThread background(server);
  hear_at_least(early, 6);
  CHECK(early.read_all() == "abcdef");
  for (int i = 0; i < 200; ++i) {
    StreamClient client(server.server_address());
    client.send("abc");
    if (i % 2 == 0) hear_at_least(client, 3);  // the fiber waits, or is about to
    send_urgent(client);
    client.send("def");
    hear_at_least(client, 6);
    CHECK(client.read_all() == "abcdef");
  }
}

TEST_CASE("fiber: a descriptor that a Unix client passes along does not hide what follows it, and is not kept") {
  const TemporaryFolder folder;
  FiberUnixStreamServer<Actor> server(folder / "socket");
  server.loops = 1;
  server.handler_factory = [] { return std::make_unique<Actor>(count_six); };
  const auto send_descriptor = [](StreamClient& client) {
    char byte = 'c';
    iovec content{&byte, 1};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> space{};
    msghdr message{};
    message.msg_iov = &content;
    message.msg_iovlen = 1;
    message.msg_control = space.data();
    message.msg_controllen = space.size();
    cmsghdr* const control = CMSG_FIRSTHDR(&message);
    control->cmsg_level = SOL_SOCKET;
    control->cmsg_type = SCM_RIGHTS;
    control->cmsg_len = CMSG_LEN(sizeof(int));
    const int descriptor = client.fileno();
    std::memcpy(CMSG_DATA(control), &descriptor, sizeof descriptor);
    REQUIRE(::sendmsg(client.fileno(), &message, 0) == 1);
  };
  const ServerThread background(server);
  for (int i = 0; i < 100; ++i) {
    StreamClient client(server.server_address());
    client.send("ab");
    if (i % 2 == 0) hear_at_least(client, 2);
    send_descriptor(client);
    client.send("def");
    hear_at_least(client, 6);
    CHECK(client.read_all() == "abcdef");
  }
}

TEST_CASE("fiber: a reset ends a wait for data, and a wait for room") {
  static std::atomic<int> gone;
  gone = 0;
  const auto count_gone = [](const std::function<void()>& waits) {
    try {
      waits();
    } catch (const peer_gone_error&) {
      ++gone;
    }
  };
  OneLoop server([=](StreamRequestHandler& handler) {
    const std::string how(*handler.rfile.readline());
    handler.wfile.write("waiting\n");
    if (how == "read\n") count_gone([&] { handler.rfile.readline(); });
    if (how == "recv\n") count_gone([&] { handler.request.recv(1); });
    if (how == "write\n") count_gone([&] { handler.wfile.write(std::string(more_than_fits, 'x')); });
    count_gone([&] {  // and again, when it is known
      for (int i = 0; i < 2; ++i) handler.wfile.write("too late");
    });
  });
  const ServerThread background(server);
  int expected = 0;
  for (const char* how : {"read\n", "recv\n", "write\n"}) {
    StreamClient client(server.server_address());
    client.send(how);
    CHECK(client.read_line() == "waiting\n");
    client.reset();
    expected += 2;
    CHECK(eventually([&] { return gone == expected; }));
  }
}

TEST_CASE("fiber: a client that stops reading holds up nobody else, and gets all when it goes on") {
  static const std::string large = pattern(more_than_fits);
  OneLoop server([](StreamRequestHandler& handler) {
    const std::string what(*handler.rfile.readline());
    handler.wfile.write(what == "large\n" ? large : what);
  });
  const ServerThread background(server);
  StreamClient slow(server.server_address());
  slow.send("large\n");
  std::string all(1, '\0');
  REQUIRE(::recv(slow.fileno(), all.data(), 1, 0) == 1);
  for (int i = 0; i < 20; ++i) {
    StreamClient quick(server.server_address());
    quick.send("hello\n");
    CHECK(quick.read_all() == "hello\n");
  }
  CHECK(eventually([&] { return server.requests_running() == 1; }));
  std::string buffer(1 << 16, '\0');
  for (ssize_t count = 0; (count = ::recv(slow.fileno(), buffer.data(), buffer.size(), 0)) > 0;) {
    all.append(buffer.data(), static_cast<std::size_t>(count));
  }
  CHECK((all == large));
}

TEST_CASE("fiber: after the handler has closed the request, its operations report that, whatever happened before") {
  const auto expect_closed = [](StreamRequestHandler& handler) {
    handler.request.close();
    error_code error;
    std::array<char, 4> space{};
    CHECK(handler.request.recv(boost::asio::buffer(space), error) == 0);
    CHECK(error == boost::asio::error::bad_descriptor);
    handler.request.sendall("x", error);
    CHECK(error == boost::asio::error::bad_descriptor);
    CHECK_THROWS_AS(handler.rfile.readline(), boost::system::system_error);
    CHECK_THROWS_AS(handler.wfile.write("x"), boost::system::system_error);
  };
  const std::vector<std::function<void(StreamRequestHandler&)>> before{
      [](StreamRequestHandler&) {},
      [](StreamRequestHandler& handler) { CHECK(handler.request.recv(100) == "hello"); },
      [](StreamRequestHandler& handler) {  // this one waits
        CHECK(handler.request.recv(5) == "hello");
        handler.request.settimeout(1ms);
        CHECK_THROWS_AS(handler.request.recv(100), timeout_error);
        handler.request.settimeout(std::nullopt);
      },
      [](StreamRequestHandler& handler) {
        error_code error;
        handler.request.settimeout(1ms);
        handler.request.sendall(std::string(more_than_fits, 'x'), error);
        handler.request.settimeout(std::nullopt);
      },
  };
  for (const auto& prepare : before) {
    static std::atomic<bool> done;
    done = false;
    OneLoop server([&](StreamRequestHandler& handler) {
      prepare(handler);
      expect_closed(handler);
      done = true;
    });
    StreamClient client(server.server_address());
    client.send("hello");
    const ServerThread background(server);
    REQUIRE(eventually([] { return done.load(); }));
    CHECK(server.stats().handler_errors == 0);
  }
}

TEST_CASE("fiber: shutdown of its request by another thread wakes it") {
  static std::atomic<Connection*> waiting;
  static std::atomic<bool> told;
  waiting = nullptr;
  told = false;
  OneLoop server([](StreamRequestHandler& handler) {
    waiting = &handler.request;
    if (handler.request.recv(1).empty()) handler.wfile.write("the end");
    while (!told) this_request::sleep_for(1ms);  // the request has to be there until shutdown() has returned
  });
  const ServerThread background(server);
  StreamClient client(server.server_address());
  CHECK(eventually([] { return waiting.load() != nullptr; }));
  waiting.load()->shutdown(SHUT_RD);
  told = true;
  CHECK(client.read_all() == "the end");
}

TEST_CASE("fiber: a timeout that passes throws, loses nothing, and can be taken away") {
  OneLoop server([](StreamRequestHandler& handler) {
    handler.request.settimeout(5ms);
    for (int i = 0; i < 3; ++i) {
      const auto start = steady_clock::now();
      CHECK_THROWS_AS(handler.rfile.readline(), timeout_error);
      CHECK(steady_clock::now() - start >= 5ms);
      CHECK_THROWS_AS(handler.rfile.read_exactly(100), timeout_error);
    }
    handler.wfile.write("limit\n");
    handler.request.settimeout(std::nullopt);
    handler.wfile.write(*handler.rfile.readline());
    handler.request.settimeout(5ms);
    CHECK_THROWS_AS(handler.request.sendall(std::string(more_than_fits, 'x')), timeout_error);
  });
  const ServerThread background(server);
  StreamClient client(server.server_address());
  client.send("half of ");
  CHECK(client.read_line() == "limit\n");
  client.send("a line\n");
  CHECK(client.read_line() == "half of a line\n");
  CHECK(eventually([&] { return server.requests_running() == 0; }));
  CHECK(server.stats().handler_errors == 0);
}

TEST_CASE("fiber: receives and sends have each a timeout") {
  OneLoop server([](StreamRequestHandler& handler) {
    handler.request.settimeout(1h, SHUT_RD);
    handler.request.settimeout(5ms, SHUT_WR);
    CHECK_THROWS_AS(handler.request.sendall(std::string(more_than_fits, 'x')), timeout_error);
    handler.request.settimeout(5ms, SHUT_RD);
    handler.request.settimeout(1h, SHUT_WR);
    CHECK_THROWS_AS(handler.rfile.readline(), timeout_error);
  });
  const ServerThread background(server);
  StreamClient client(server.server_address());
  CHECK(eventually([&] { return server.stats().completed == 1; }));
  CHECK(server.stats().handler_errors == 0);
}

TEST_CASE("fiber: a timeout that a hook has set before there was a fiber is in force") {
  struct Limits : OneLoop {
    Limits()
        : OneLoop([](StreamRequestHandler& handler) {
            CHECK(handler.request.gettimeout() == 5ms);
            try {
              handler.rfile.readline();
            } catch (const timeout_error&) {
              handler.wfile.write("limit");
            }
          }) {}
    ~Limits() override { server_close(); }
    bool verify_request(Connection& request, const Address&) override {
      request.settimeout(5ms);
      return true;
    }
  };
  Limits server;
  const ServerThread background(server);
  StreamClient client(server.server_address());
  CHECK(client.read_all() == "limit");
}

TEST_CASE("fiber: timeouts that are far away, and many that come and go, do no harm") {
  OneLoop server([](StreamRequestHandler& handler) {
    handler.request.settimeout(steady_clock::duration::max());
    while (const auto line = handler.rfile.readline()) {
      handler.wfile.write(*line);
      handler.request.settimeout(hours(1));
      handler.request.settimeout(std::nullopt);
      handler.request.settimeout(hours(2));
    }
    for (int i = 0; i < 3; ++i) {
      this_request::sleep_for(std::chrono::microseconds(10));
      handler.request.settimeout(1ms);
      handler.request.settimeout(hours(3));
    }
  });
  const ServerThread background(server);
  std::vector<StreamClient> clients;
  for (int i = 0; i < 50; ++i) clients.emplace_back(server.server_address());
  for (int round = 0; round < 50; ++round) {
    for (StreamClient& client : clients) client.send("hello\n");
    for (StreamClient& client : clients) CHECK(client.read_line() == "hello\n");
  }
  for (StreamClient& client : clients) {
    client.shutdown_write();
    CHECK(client.read_all().empty());
  }
  CHECK(server.stats().handler_errors == 0);
}

/// Waits in a way that takes long, with a view of what was read before and bytes that were not.
void test_views(const std::function<void(StreamRequestHandler&)>& wait, const std::function<void(StreamClient&)>& end) {
  static std::atomic<bool> kept;
  kept = false;
  OneLoop server([&](StreamRequestHandler& handler) {
    const std::string_view line = *handler.rfile.readline();
    if (line.starts_with("holds")) {
      wait(handler);
      kept = line == "holds a view\n" && handler.rfile.peek() == "and more";
    } else {
      handler.wfile.write(line);
    }
  });
  const ServerThread background(server);
  StreamClient holder(server.server_address());
  holder.send("holds a view\nand more");
  CHECK(holder.read_line() == "waiting\n");
  for (int round = 0; round < 10; ++round) {
    std::vector<StreamClient> others;
    for (int i = 0; i < 100; ++i) {
      others.emplace_back(server.server_address());
      others.back().send(std::string(5000, 'x') + "\n");
    }
    for (StreamClient& other : others) CHECK(other.read_all().size() == 5001);
  }
  CHECK(eventually([&] { return server.requests_running() == 1; }));
  end(holder);
  CHECK(eventually([] { return kept.load(); }));
}

TEST_CASE("fiber: a line stays what it was while its fiber waits for room, and a thousand others receive") {
  test_views(
      [](StreamRequestHandler& handler) {
        handler.wfile.write("waiting\n");
        handler.wfile.write(std::string(more_than_fits, 'x'));
      },
      [](StreamClient& holder) { CHECK(holder.read_all().size() == more_than_fits); });
}

TEST_CASE("fiber: a line stays what it was while its fiber sleeps, and a thousand others receive") {
  static std::atomic<bool> go_on;
  go_on = false;
  test_views(
      [](StreamRequestHandler& handler) {
        handler.wfile.write("waiting\n");
        while (!go_on) this_request::sleep_for(1ms);
      },
      [](StreamClient&) { go_on = true; });
}

TEST_CASE("fiber: buffers of any size, lines longer than that, and a mebibyte at once") {
  const std::string large = pattern(mebibyte);
  const std::string long_line = std::string(60000, 'l') + "\n";
  for (const std::size_t size : {std::size_t{1}, std::size_t{7}, std::size_t{16384}, std::size_t{16385}, mebibyte}) {
    OneLoop server([](StreamRequestHandler&) {});
    server.handler_factory = [size] {
      auto handler = std::make_unique<Actor>([](StreamRequestHandler& self) {
        for (int i = 0; i < 3; ++i) self.wfile.write(*self.rfile.readline());
        self.wfile.write(self.rfile.read_exactly(mebibyte));
        self.wfile.write(*self.rfile.readline());
        CHECK_FALSE(self.rfile.readline());
      });
      handler->rbufsize = size;
      return handler;
    };
    const ServerThread background(server);
    StreamClient client(server.server_address());
    std::string all = "short\n";
    all.append(long_line).append("\n").append(large).append("the end\n");
    std::thread sending([&] {
      client.send("sh");
      CHECK(eventually([&] { return server.requests_running() == 1; }));
      client.send(std::string_view(all).substr(2));
      client.shutdown_write();
    });
    const std::string answer = client.read_all();
    sending.join();
    CHECK((answer == all));
  }
}

/// A client that sends and reads as fast as it can until it is told to end.
class Flood {
 public:
  explicit Flood(const Address& server) : client_(server), thread_([this] { send_all(); }) {}
  Flood(const Flood&) = delete;
  Flood& operator=(const Flood&) = delete;
  ~Flood() {
    end_ = true;
    thread_.join();
  }
  std::size_t sent() const { return sent_; }

 private:
  void send_all() {
    const std::string lines(1 << 20, '\n');  // takes longer to read than to send
    while (!end_) {
      client_.send(lines);
      sent_ += lines.size();
    }
  }

  StreamClient client_;
  std::atomic<bool> end_ = false;
  std::atomic<std::size_t> sent_ = 0;
  std::thread thread_;
};

void answer_all_but_empty_lines(StreamRequestHandler& handler) {
  for (const std::string_view line : handler.rfile) {
    if (line != "\n") handler.wfile.write(line);
  }
}

void expect_service_under_flood(AbstractServer& server) {
  const ServerThread background(server);
  const Flood flood(server.server_address());
  CHECK(eventually([&] { return flood.sent() > 0; }));
  StreamClient other(server.server_address());
  for (int i = 0; i < 100; ++i) {
    other.send("hello\n");
    CHECK(other.read_line() == "hello\n");
  }
  StreamClient a_new_one(server.server_address());
  a_new_one.send("hello\n");
  CHECK(a_new_one.read_line() == "hello\n");
}

TEST_CASE("fiber: a client that sends without pause does not keep another from being served") {
  OneLoop tcp(answer_all_but_empty_lines);
  expect_service_under_flood(tcp);
  // A TCP window that is full gives others a chance anyway; a Unix socket is filled as fast as it is emptied.
  const TemporaryFolder folder;
  FiberUnixStreamServer<Actor> unix_server(folder / "socket");
  unix_server.loops = 1;
  unix_server.handler_factory = [] { return std::make_unique<Actor>(answer_all_but_empty_lines); };
  expect_service_under_flood(unix_server);
}

TEST_CASE("fiber: one that never has to wait lets others have their turn all the same") {
  static std::atomic<int> done;
  static std::atomic<bool> begun;
  static std::atomic<bool> other_waits;
  static std::atomic<int> done_before_other;
  constexpr int all = 2000;
  using Step = void (*)(StreamRequestHandler&);
  const std::array<Step, 2> steps{[](StreamRequestHandler& handler) { handler.request.recv(1); },
                                  [](StreamRequestHandler& handler) { handler.request.sendall("x"); }};
  for (const Step step : steps) {
    done = 0;
    begun = other_waits = false;
    done_before_other = all;
    OneLoop server([step](StreamRequestHandler& handler) {
      if (handler.request.recv(1) == "o") {
        done_before_other = done.load();
        return;
      }
      begun = true;
      while (!other_waits) std::this_thread::yield();  // keeps the thread, so that the other cannot come before
      for (; done < all; ++done) step(handler);
    });
    const ServerThread background(server);
    StreamClient other(server.server_address());
    CHECK(eventually([&] { return server.requests_running() == 1; }));
    StreamClient busy(server.server_address());
    busy.send(std::string(all + 1, 'b'));
    CHECK(eventually([] { return begun.load(); }));
    other.send("o");
    other_waits = true;
    CHECK(eventually([] { return done == all; }));
    CHECK(other.read_all().empty());
    CHECK(done_before_other < all);
  }
}

}  // namespace
