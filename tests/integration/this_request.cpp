#include <sockserv/this_request.hpp>  // first, to test that it is self-contained

#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <sockserv.hpp>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "integration/acting.hpp"
#include "support/support.hpp"

namespace {

using namespace acting;
using namespace support;
using std::chrono::hours;
using std::chrono::steady_clock;

#define IN_THREADS TCPServer<Actor>, ThreadingTCPServer<Actor>, ThreadPoolTCPServer<Actor>, FiberTCPServer<Actor>
#define EVERYWHERE IN_THREADS, ForkingTCPServer<Actor>

TEST_CASE_TEMPLATE("this_request::sleep_for and sleep_until last at least so long", Server, EVERYWHERE) {
  CHECK(told_by<Server>([](StreamRequestHandler& handler) {
          const auto start = steady_clock::now();
          this_request::sleep_for(5ms);
          if (steady_clock::now() - start < 5ms) return;
          this_request::sleep_until(start + 15ms);
          if (steady_clock::now() - start < 15ms) return;
          this_request::sleep_for(-1ms);
          this_request::sleep_for(steady_clock::duration::min());
          this_request::sleep_until(start);
          handler.wfile.write("slept");
        }) == "slept");
}

TEST_CASE_TEMPLATE("this_request::sleep_for is aborted when the server's patience ends, and so are those after it",
                   Server, IN_THREADS) {
  static std::atomic<int> aborted;
  aborted = 0;
  Acting<Server> server([](StreamRequestHandler& handler) {
    handler.wfile.write("sleeping\n");
    for (const auto length :
         {steady_clock::duration::max(), steady_clock::duration(hours(1)), steady_clock::duration(1s)}) {
      try {
        this_request::sleep_for(length);
      } catch (const boost::system::system_error& error) {
        if (error.code() == errc::aborted) ++aborted;
      }
    }
  });
  const ServerThread background(server);
  StreamClient client(server.server_address());
  CHECK(client.read_line() == "sleeping\n");
  const DrainResult result = server.drain(10ms);
  CHECK(result.aborted == 1);
  CHECK(result.remaining == 0);
  CHECK(aborted == 3);
}

/// Handlers on one loop, told to sleep until moments in the order `order`; in which order they woke up. Nothing if the
/// machine was so busy that a moment had passed before its handler slept.
std::vector<std::size_t> wake_ups(const std::vector<std::size_t>& order, steady_clock::duration step) {
  std::vector<std::size_t> woken;
  std::atomic<bool> late = false;
  std::atomic<std::size_t> sleeping = 0;
  const auto start = steady_clock::now();
  {
    OneLoop server([&](StreamRequestHandler& handler) {
      const std::size_t number = std::stoul(std::string(*handler.rfile.readline()));
      const auto moment = start + (20 + number) * step;
      if (steady_clock::now() >= moment) late = true;
      ++sleeping;
      this_request::sleep_until(moment);
      woken.push_back(number);  // all in one thread
    });
    const ServerThread background(server);
    std::vector<StreamClient> clients;
    for (const std::size_t number : order) {
      clients.emplace_back(server.server_address());
      clients.back().send(std::to_string(number) + "\n");
      CHECK(eventually([&] { return sleeping == clients.size(); }));
    }
    for (StreamClient& client : clients) client.read_all();
  }
  return late ? std::vector<std::size_t>() : woken;
}

TEST_CASE("this_request::sleep_until: fibers wake up in the order of their times, not of their coming") {
  std::vector<std::size_t> woken;
  for (steady_clock::duration step = 2ms; woken.empty() && step < patience; step *= 2) {
    woken = wake_ups({5, 2, 8, 0, 9, 1, 7, 3, 6, 4}, step);
  }
  CHECK(woken == std::vector<std::size_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
}

TEST_CASE("this_request::sleep_for on a fiber holds up nobody else") {
  OneLoop server([](StreamRequestHandler& handler) {
    const std::string word(*handler.rfile.readline());
    if (word == "sleep\n") {
      handler.wfile.write("sleeping\n");
      this_request::sleep_for(hours(1));
    }
    handler.wfile.write(word);
  });
  const ServerThread background(server);
  StreamClient sleeper(server.server_address());
  sleeper.send("sleep\n");
  CHECK(sleeper.read_line() == "sleeping\n");
  for (int i = 0; i < 10; ++i) {
    StreamClient another(server.server_address());
    another.send("hello\n");
    CHECK(another.read_all() == "hello\n");
  }
  CHECK(eventually([&] { return server.requests_running() == 1; }));
  CHECK(server.drain(0ms).aborted == 1);
}

TEST_CASE_TEMPLATE("this_request::offload gives back what the function does: values, references, nothing, errors",
                   Server, EVERYWHERE) {
  CHECK(told_by<Server>([](StreamRequestHandler& handler) {
          std::string said;
          const auto expect = [&](bool good, const char* what) { said += good ? "" : what; };
          expect(this_request::offload([] { return 7; }) == 7, "value ");
          int number = 1;
          int& same = this_request::offload([&]() -> int& { return number; });
          expect(&same == &number, "reference ");
          const std::string text = "text";
          const auto& same_text = this_request::offload([&]() -> const std::string& { return text; });
          expect(&same_text == &text, "reference to const ");
          this_request::offload([&] { number = 2; });
          expect(number == 2, "nothing ");
          auto moved =
              this_request::offload([pointer = std::make_unique<int>(3)]() mutable { return std::move(pointer); });
          expect(*moved == 3, "move ");
          struct OnlyOnce {
            int operator()() && { return 4; }
          };
          expect(this_request::offload(OnlyOnce()) == 4, "rvalue ");
          expect(this_request::offload([] { return this_request::offload([] { return 5; }); }) == 5, "nested ");
          try {
            this_request::offload([] { throw std::domain_error("mine"); });
            said += "throw ";
          } catch (const std::domain_error& error) {
            expect(std::string_view(error.what()) == "mine", "message ");
          }
          try {
            static_cast<void>(this_request::offload([]() -> int { throw 42; }));
            said += "throw int ";
          } catch (int thrown) {
            expect(thrown == 42, "int ");
          }
          handler.wfile.write(said + "done");
        }) == "done");
}

TEST_CASE_TEMPLATE("this_request::offload: what the handler may do, the function may too", Server, EVERYWHERE) {
  Acting<Server> server([](StreamRequestHandler& handler) {
    const std::string line = this_request::offload([&] { return std::string(*handler.rfile.readline()); });
    this_request::offload([&] {
      this_request::sleep_for(1ms);
      handler.wfile.write(this_request::stop_requested() ? "stopped " : "serving ");
      handler.request.sendall(line);
    });
    handler.wfile.write(*handler.rfile.readline());
  });
  const ServerThread background(server);
  StreamClient client(server.server_address());
  client.send("first\n");
  CHECK(client.read_line() == "serving first\n");
  client.send("second\n");
  CHECK(client.read_line() == "second\n");
  CHECK(client.read_all().empty());
}

TEST_CASE_TEMPLATE("this_request::offload calls the function in place on a plain thread, and elsewhere on a fiber",
                   Server, IN_THREADS) {
  static std::atomic<bool> in_place;
  CHECK(told_by<Server>([](StreamRequestHandler& handler) {
          const auto here = std::this_thread::get_id();
          in_place = this_request::offload([] { return std::this_thread::get_id(); }) == here;
          CHECK(std::this_thread::get_id() == here);
          handler.wfile.write("done");
        }) == "done");
  CHECK(in_place == !is_fiber_server<Server>);
}

TEST_CASE("this_request::offload on a fiber: its loop goes on meanwhile, and many may offload at once") {
  static std::atomic<int> inside;
  static std::atomic<bool> go_on;
  inside = 0;
  go_on = false;
  OneLoop server([](StreamRequestHandler& handler) {
    const std::string word(*handler.rfile.readline());
    if (word == "offload\n") {
      this_request::offload([] {
        ++inside;
        while (!go_on) std::this_thread::yield();
      });
    }
    handler.wfile.write(word);
  });
  const ServerThread background(server);
  std::vector<StreamClient> clients;
  for (int i = 0; i < 50; ++i) {  // more than there are threads for it
    clients.emplace_back(server.server_address());
    clients.back().send("offload\n");
  }
  CHECK(eventually([] { return inside >= 2; }));
  for (int i = 0; i < 10; ++i) {
    StreamClient another(server.server_address());
    another.send("hello\n");
    CHECK(another.read_all() == "hello\n");
  }
  go_on = true;
  for (StreamClient& client : clients) CHECK(client.read_all() == "offload\n");
}

TEST_CASE("this_request::offload on a fiber: functions that read let go of memory that the loop has lent") {
  OneLoop server([](StreamRequestHandler& handler) {
    while (handler.rfile.readline()) {  // the loop lends memory for that and for half of the next line
      handler.wfile.write(this_request::offload([&] { return std::string(*handler.rfile.readline()); }));
    }
  });
  const ServerThread background(server);
  std::vector<StreamClient> clients;
  for (int i = 0; i < 16; ++i) clients.emplace_back(server.server_address());
  const auto long_line = [](std::size_t i) { return std::string(30000 + i, static_cast<char>('a' + i)) + "\n"; };
  for (int round = 0; round < 30; ++round) {
    for (std::size_t i = 0; i < clients.size(); ++i) clients[i].send("short\n" + long_line(i));
    for (std::size_t i = 0; i < clients.size(); ++i) CHECK((clients[i].read_line() == long_line(i)));
  }
}

/// Says whether it has been told to stop: at first, and after a while in which it should be.
void wait_to_be_stopped(StreamRequestHandler& handler) {
  handler.wfile.write(this_request::stop_requested() ? "stopped\n" : "serving\n");
  for (int i = 0; i < 2000 && !this_request::stop_requested(); ++i) this_request::sleep_for(1ms);
  handler.wfile.write(this_request::stop_requested() ? "stopped\n" : "serving\n");
}

template <class Server>
void stop_while_handled() {
  Acting<Server> server(wait_to_be_stopped);
  const ServerThread background(server);
  StreamClient client(server.server_address());
  CHECK(client.read_line() == "serving\n");
  server.request_stop();
  CHECK(client.read_all() == "stopped\n");
}

TEST_CASE_TEMPLATE("this_request::stop_requested is true once the server has been told to stop", Server, IN_THREADS) {
  stop_while_handled<Server>();
}

TEST_CASE("this_request::stop_requested is true in a child process too") {
  stop_while_handled<ForkingTCPServer<Actor>>();
}

TEST_CASE("this_request in a conversation without a socket") {
  struct Uses : StreamRequestHandler {
    void handle() override {
      this_request::sleep_for(1ms);
      wfile.write(this_request::offload([] { return this_request::stop_requested() ? "stopped" : "serving"; }));
    }
  };
  CHECK(testing::converse<Uses>("") == "serving");
}

void expect_refusal() {
  CHECK_THROWS_AS(this_request::sleep_for(1ms), std::logic_error);
  CHECK_THROWS_AS(this_request::sleep_until(steady_clock::now()), std::logic_error);
  CHECK_THROWS_AS(this_request::stop_requested(), std::logic_error);
  CHECK_THROWS_AS(this_request::offload([] { return 1; }), std::logic_error);
}

TEST_CASE("this_request is refused outside of handlers") { expect_refusal(); }

TEST_CASE_TEMPLATE("this_request is refused in the hooks that accept requests", Server, IN_THREADS) {
  struct Refused : Acting<Server> {
    Refused() : Acting<Server>([](StreamRequestHandler& handler) { handler.wfile.write("served"); }) {}
    ~Refused() override { this->server_close(); }
    bool verify_request(Connection&, const Address&) override {
      expect_refusal();
      ++verified;
      return true;
    }
    std::atomic<int> verified = 0;
  };
  Refused server;
  const ServerThread background(server);
  StreamClient client(server.server_address());
  CHECK(client.read_all() == "served");
  CHECK(server.verified == 1);
}

}  // namespace
