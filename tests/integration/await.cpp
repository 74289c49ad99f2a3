#include <sockserv/await.hpp>  // first, to test that it is self-contained

#include <doctest/doctest.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/compose.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/write.hpp>
#include <functional>
#include <memory>
#include <sockserv.hpp>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "integration/acting.hpp"
#include "support/serving.hpp"
#include "support/support.hpp"

namespace {

using namespace acting;
using namespace support;
namespace asio = boost::asio;
using asio::ip::tcp;
using std::chrono::steady_clock;

#define WAYS_TO_WAIT FiberTCPServer<Actor>, ThreadingTCPServer<Actor>, TCPServer<Actor>

/// An operation that ends at once with those results.
template <class... Results>
auto give(const Results&... results) {
  return [=](auto token) {
    return asio::async_initiate<decltype(token), void(Results...)>(
        [=](auto handler) {
          const auto executor = handler.get_executor();
          asio::post(executor, [handler = std::move(handler), ... results = results]() mutable {
            std::move(handler)(std::move(results)...);
          });
        },
        token);
  };
}

const error_code no_error;
const error_code broken_pipe(EPIPE, boost::system::system_category());

TEST_CASE_TEMPLATE("await returns what the operation gives: nothing, a value, or a tuple", Server, WAYS_TO_WAIT) {
  CHECK(told_by<Server>([](StreamRequestHandler& handler) {
          static_assert(std::is_void_v<decltype(await(give()))>);
          static_assert(std::is_void_v<decltype(await(give(no_error)))>);
          await(give());
          await(give(no_error));
          await(give(std::exception_ptr()));
          CHECK(await(give(7)) == 7);
          CHECK(await(give(no_error, 8)) == 8);
          CHECK(await(give(std::exception_ptr(), std::string("text"))) == "text");
          CHECK(await(give(1, std::string("one"))) == std::tuple(1, "one"));
          const auto [number, text, flag] = await(give(no_error, 2, std::string("two"), true));
          CHECK((number == 2 && text == "two" && flag));
          const auto moved = await([](auto token) {
            return asio::async_initiate<decltype(token), void(std::unique_ptr<int>)>(
                [](auto operation) { std::move(operation)(std::make_unique<int>(9)); }, token);
          });
          CHECK(*moved == 9);  // and the operation had ended before the wait began
          handler.wfile.write("done");
        }) == "done");
}

TEST_CASE_TEMPLATE("await throws the operation's error, as an error_code or as an exception", Server, WAYS_TO_WAIT) {
  CHECK(told_by<Server>([](StreamRequestHandler& handler) {
          CHECK_THROWS_AS(await(give(broken_pipe)), peer_gone_error);
          CHECK_THROWS_AS(await(give(broken_pipe, 1, 2)), peer_gone_error);
          CHECK_THROWS_AS(await(give(error_code(asio::error::operation_aborted))), boost::system::system_error);
          CHECK_THROWS_WITH_AS(await(give(std::make_exception_ptr(std::domain_error("mine")))), "mine",
                               std::domain_error);
          CHECK_THROWS_AS(await(give(std::make_exception_ptr(std::domain_error("mine")), 1)), std::domain_error);
          await(give(1, broken_pipe));  // no error in front: a value like others
          handler.wfile.write("done");
        }) == "done");
}

TEST_CASE_TEMPLATE("await: a timer", Server, WAYS_TO_WAIT) {
  CHECK(told_by<Server>([](StreamRequestHandler& handler) {
          const auto start = steady_clock::now();
          asio::steady_timer timer(this_request::executor(), 5ms);
          await([&](auto token) { return timer.async_wait(token); });
          CHECK(steady_clock::now() - start >= 5ms);
          handler.wfile.write("done");
        }) == "done");
}

TEST_CASE_TEMPLATE("await: a resolver, a connection, reading and writing", Server, WAYS_TO_WAIT) {
  ThreadingTCPServer<Echo> other({"127.0.0.1", 0});
  const ServerThread background(other);
  const std::string port = std::to_string(other.server_address().port());
  CHECK(told_by<Server>([&](StreamRequestHandler& handler) {
          tcp::resolver resolver(this_request::executor());
          const auto found =
              await([&](auto token) { return resolver.async_resolve("127.0.0.1", port, token); }, patience);
          CHECK(found.begin()->endpoint().port() == other.server_address().port());
          tcp::socket socket(this_request::executor());
          await([&](auto token) { return socket.async_connect(*found.begin(), token); }, patience);
          const auto sent =
              await([&](auto token) { return asio::async_write(socket, asio::buffer("hello\n", 6), token); });
          CHECK(sent == 6);
          std::array<char, 100> space{};
          const auto count =
              await([&](auto token) { return socket.async_read_some(asio::buffer(space), token); }, patience);
          CHECK(std::string_view(space.data(), count) == "hello\n");
          CHECK_THROWS_AS(await([&](auto token) { return socket.async_read_some(asio::buffer(space), token); }, 1ms),
                          timeout_error);
          socket.shutdown(tcp::socket::shutdown_send);
          try {
            await([&](auto token) { return socket.async_read_some(asio::buffer(space), token); });
            handler.wfile.write("no end");
          } catch (const boost::system::system_error& error) {
            CHECK(error.code() == asio::error::eof);
          }
          handler.wfile.write("done");
        }) == "done");
}

TEST_CASE_TEMPLATE("await: a limit that passes cancels the operation, whose objects can be used again", Server,
                   WAYS_TO_WAIT) {
  CHECK(told_by<Server>([](StreamRequestHandler& handler) {
          asio::steady_timer timer(this_request::executor(), std::chrono::hours(1));
          const auto start = steady_clock::now();
          CHECK_THROWS_AS(await([&](auto token) { return timer.async_wait(token); }, 5ms), timeout_error);
          CHECK(steady_clock::now() - start >= 5ms);
          timer.expires_after(1ms);
          await([&](auto token) { return timer.async_wait(token); }, std::chrono::hours(1));
          timer.expires_after(1ms);
          await([&](auto token) { return timer.async_wait(token); }, steady_clock::duration::max());
          timer.expires_after(std::chrono::hours(1));  // one that has expired could be done before it is cancelled
          CHECK_THROWS_AS(await([&](auto token) { return timer.async_wait(token); }, -1ms), timeout_error);
          handler.wfile.write("done");
        }) == "done");
}

/// An operation that ends when it is cancelled, and then with those results.
template <class... Results>
auto ends_cancelled_with(const Results&... results) {
  return [=](auto token) {
    return asio::async_initiate<decltype(token), void(Results...)>(
        [=](auto handler) {
          auto slot = asio::get_associated_cancellation_slot(handler);
          slot.assign([handler = std::move(handler), ... results = results](asio::cancellation_type) mutable {
            const auto executor = handler.get_executor();
            asio::post(executor, [handler = std::move(handler), ... results = std::move(results)]() mutable {
              std::move(handler)(std::move(results)...);
            });
          });
        },
        token);
  };
}

TEST_CASE_TEMPLATE("await: what an operation has achieved when its limit passes is returned, or thrown", Server,
                   WAYS_TO_WAIT) {
  CHECK(told_by<Server>([](StreamRequestHandler& handler) {
          CHECK(await(ends_cancelled_with(no_error, 7), 1ms) == 7);
          CHECK(await(ends_cancelled_with(std::exception_ptr(), std::string("text")), 1ms) == "text");
          await(ends_cancelled_with(no_error), 1ms);
          CHECK(await(ends_cancelled_with(8), 1ms) == 8);
          CHECK_THROWS_AS(await(ends_cancelled_with(broken_pipe, 7), 1ms), peer_gone_error);
          CHECK_THROWS_WITH_AS(await(ends_cancelled_with(std::make_exception_ptr(std::domain_error("mine"))), 1ms),
                               "mine", std::domain_error);
          handler.wfile.write("done");
        }) == "done");
}

TEST_CASE_TEMPLATE("await: an operation that its limit has cancelled ends in a timeout_error", Server, WAYS_TO_WAIT) {
  CHECK(told_by<Server>([](StreamRequestHandler& handler) {
          const error_code cancelled = asio::error::operation_aborted;
          const auto thrown = std::make_exception_ptr(boost::system::system_error(cancelled));
          CHECK_THROWS_AS(await(ends_cancelled_with(cancelled), 1ms), timeout_error);
          CHECK_THROWS_AS(await(ends_cancelled_with(cancelled, 7), 1ms), timeout_error);
          CHECK_THROWS_AS(await(ends_cancelled_with(thrown), 1ms), timeout_error);
          CHECK_THROWS_AS(await(ends_cancelled_with(thrown, 7), 1ms), timeout_error);
          handler.wfile.write("done");
        }) == "done");
}

TEST_CASE_TEMPLATE("await: what an operation has achieved when the server aborts it is not lost", Server,
                   WAYS_TO_WAIT) {
  static std::atomic<int> result;
  result = 0;
  Acting<Server> server([](StreamRequestHandler& handler) {
    handler.wfile.write("waiting\n");
    result = await(ends_cancelled_with(no_error, 7));
  });
  const ServerThread background(server);
  StreamClient client(server.server_address());
  CHECK(client.read_line() == "waiting\n");
  CHECK(server.drain(10ms).aborted == 1);
  CHECK(result == 7);
}

using Timer = std::shared_ptr<asio::steady_timer>;

Timer timer_for(steady_clock::duration length) {
  return std::make_shared<asio::steady_timer>(this_request::executor(), length);
}

/// An operation that ends with that timer, cannot be cancelled, and says when it has ended.
auto uncancellable(const Timer& timer, std::atomic<bool>& ended) {
  return [timer, &ended](auto token) {
    return asio::async_initiate<decltype(token), void(int)>(
        [timer, &ended](auto handler) {
          timer->async_wait([timer, &ended, handler = std::move(handler)](error_code) mutable {
            std::move(handler)(7);
            ended = true;
          });
        },
        token);
  };
}

/// Awaits other operations until that one has ended.
void wait_until(const std::atomic<bool>& ended) {
  static std::atomic<bool> another_ended;
  while (!ended) CHECK(await(uncancellable(timer_for(1ms), another_ended)) == 7);
}

TEST_CASE_TEMPLATE("await: an operation that cannot be cancelled is left to itself, and may end later", Server,
                   WAYS_TO_WAIT) {
  static std::atomic<bool> ended;
  ended = false;
  CHECK(told_by<Server>([](StreamRequestHandler& handler) {
          const Timer timer = timer_for(std::chrono::hours(1));
          CHECK_THROWS_AS(await(uncancellable(timer, ended), 1ms), timeout_error);
          CHECK_FALSE(ended);
          timer->cancel();
          wait_until(ended);
          handler.wfile.write("done");
        }) == "done");
}

TEST_CASE("await on a fiber: an abandoned operation may end after the handler, while the fiber serves another") {
  static std::atomic<bool> ended;
  ended = false;
  Timer abandoned;
  OneLoop server([&](StreamRequestHandler& handler) {
    if (!abandoned) {
      abandoned = timer_for(std::chrono::hours(1));
      CHECK_THROWS_AS(await(uncancellable(abandoned, ended), 1ms), timeout_error);
    } else {
      abandoned->cancel();
      wait_until(ended);
      abandoned.reset();  // before its context goes
    }
    handler.wfile.write("done");
  });
  const ServerThread background(server);
  for (int i = 0; i < 2; ++i) {
    StreamClient client(server.server_address());
    CHECK(client.read_all() == "done");
  }
  CHECK(server.stats().handler_errors == 0);
}

TEST_CASE_TEMPLATE("await is aborted when the server's patience ends", Server, WAYS_TO_WAIT) {
  static std::atomic<bool> was_aborted;
  was_aborted = false;
  Acting<Server> server([](StreamRequestHandler& handler) {
    asio::steady_timer timer(this_request::executor(), std::chrono::hours(1));
    handler.wfile.write("waiting\n");
    try {
      await([&](auto token) { return timer.async_wait(token); }, std::chrono::minutes(1));
    } catch (const boost::system::system_error& error) {
      was_aborted = error.code() == errc::aborted;
    }
  });
  const ServerThread background(server);
  StreamClient client(server.server_address());
  CHECK(client.read_line() == "waiting\n");
  const DrainResult result = server.drain(10ms);
  CHECK(result.aborted == 1);
  CHECK(result.remaining == 0);
  CHECK(was_aborted);
}

TEST_CASE_TEMPLATE("await takes operations of other executors", Server, WAYS_TO_WAIT) {
  asio::thread_pool other(1);
  CHECK(told_by<Server>([&](StreamRequestHandler& handler) {
          const auto here = std::this_thread::get_id();
          for (int i = 0; i < 100; ++i) {
            asio::steady_timer timer(other, std::chrono::microseconds(100));
            await([&](auto token) { return timer.async_wait(token); });
            CHECK(std::this_thread::get_id() == here);
          }
          handler.wfile.write("done");
        }) == "done");
  other.join();
}

TEST_CASE_TEMPLATE("await within offload", Server, WAYS_TO_WAIT) {
  CHECK(told_by<Server>([](StreamRequestHandler& handler) {
          const int result = this_request::offload([] {
            asio::steady_timer timer(this_request::executor(), 5ms);
            await([&](auto token) { return timer.async_wait(token); });
            CHECK_THROWS_AS(await(
                                [&](auto token) {
                                  timer.expires_after(std::chrono::hours(1));
                                  return timer.async_wait(token);
                                },
                                5ms),
                            timeout_error);
            return await(give(7));
          });
          CHECK(result == 7);
          handler.wfile.write("done");
        }) == "done");
}

TEST_CASE("await on a fiber lets others run, which may be what it waits for") {
  static asio::steady_timer* awaited;
  awaited = nullptr;
  OneLoop server([](StreamRequestHandler& handler) {
    if (awaited) {
      awaited->cancel();
      return;
    }
    asio::steady_timer timer(this_request::executor(), std::chrono::hours(1));
    awaited = &timer;
    handler.wfile.write("waiting\n");
    try {
      await([&](auto token) { return timer.async_wait(token); });
    } catch (const boost::system::system_error& error) {
      handler.wfile.write(error.code() == asio::error::operation_aborted ? "released" : "failed");
    }
  });
  const ServerThread background(server);
  StreamClient waiting(server.server_address());
  CHECK(waiting.read_line() == "waiting\n");
  const StreamClient releasing(server.server_address());
  CHECK(waiting.read_all() == "released");
}

TEST_CASE("await by hundreds of fibers at once") {
  OneLoop server([](StreamRequestHandler& handler) {
    asio::steady_timer timer(this_request::executor());
    for (int i = 0; i < 20; ++i) {
      timer.expires_after(std::chrono::microseconds(100 * (i % 3)));
      await([&](auto token) { return timer.async_wait(token); });
    }
    handler.wfile.write("done");
  });
  const ServerThread background(server);
  std::vector<StreamClient> clients;
  for (int i = 0; i < 300; ++i) clients.emplace_back(server.server_address());
  for (StreamClient& client : clients) CHECK(client.read_all() == "done");
}

/// Awaits a timer many times.
void doze(StreamRequestHandler& handler) {
  asio::steady_timer timer(this_request::executor());
  for (int i = 0; i < 20; ++i) {
    timer.expires_after(5ms);
    await([&](auto token) { return timer.async_wait(token); });
  }
  handler.wfile.write("awake\n");
}

/// Serves one request of another server as well, in the process and thread that it was made in.
template <class Server>
struct ServesBeside : Acting<Server> {
  explicit ServesBeside(AbstractServer& another) : Acting<Server>(doze), beside(&another) {}
  void service_actions() override {
    Acting<Server>::service_actions();
    if (::getpid() == parent && beside) std::exchange(beside, nullptr)->handle_request();
  }

  AbstractServer* beside;
  pid_t parent = ::getpid();
};

TEST_CASE_TEMPLATE("await in several processes at once, whose parent has awaited in the thread that forks, and does",
                   Server, PreForkingTCPServer<Actor>, ForkingTCPServer<Actor>) {
  Acting<TCPServer<Actor>> beside(doze);
  ServesBeside<Server> server(beside);
  if constexpr (requires { server.processes; }) server.processes = 4;
  std::vector<StreamClient> clients;
  for (int i = 0; i < 2; ++i) clients.emplace_back(beside.server_address());
  for (int i = 0; i < 8; ++i) clients.emplace_back(server.server_address());
  std::thread parent([&] {
    beside.handle_request();
    server.serve_forever(1ms);
  });
  const auto visit = [&] {
    for (StreamClient& client : clients) CHECK(client.read_line() == "awake\n");
  };
  CHECK_NOTHROW(visit());
  server.shutdown();
  parent.join();
}

TEST_CASE("await and its executor outside of handlers") {
  asio::io_context context;
  asio::steady_timer timer(context, 1ms);
  CHECK_THROWS_AS(await([&](auto token) { return timer.async_wait(token); }), std::logic_error);
  CHECK_THROWS_AS(this_request::executor(), std::logic_error);
}

}  // namespace
