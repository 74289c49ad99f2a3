/// What one refusal of memory, of a thread or of a mapping costs: one request at most, at whichever moment it comes.
///
/// Each case has a whole conversation, from the making of a server to its end, once with the first allocation refused,
/// once with the second, and so on until nothing was left to be refused. Each conversation has a process of its own, so
/// that one which ends badly is reported, and the next begins with a program that has done nothing yet.

#include "support/scarcity.hpp"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/compose.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/thread/exceptions.hpp>
#include <cstdio>
#include <exception>
#include <memory>
#include <optional>
#include <sockserv.hpp>
#include <sockserv/await.hpp>
#include <sockserv/detail/runners.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <utility>

#include "support/support.hpp"

namespace {

using namespace sockserv;
using namespace support;

/// An operation of two steps, of which the second takes memory, and gives it to the handler.
template <class Executor, class Token>
auto async_step(const Executor& executor, Token& token) {
  const auto step = [executor, is_first = true](auto& self) mutable {
    if (std::exchange(is_first, false)) return boost::asio::post(executor, std::move(self));
    self.complete(std::make_unique<std::string>("memory"));
  };
  return boost::asio::async_compose<Token, void(std::unique_ptr<std::string>)>(step, token, executor);
}

/// Answers one line, after it has used whatever may take memory, threads or mappings. "throw" makes it throw, "hang"
/// makes it answer and then wait until it is aborted.
struct Busy : StreamRequestHandler {
  void handle() override {
    const std::string line(rfile.readline().value_or(""));
    if (line == "throw\n") throw std::runtime_error("as the client asked");
    if (line == "hang\n") {
      wfile.write("here\n");
      wfile.flush();
      boost::asio::steady_timer timer(this_request::executor(), std::chrono::hours(1));
      await([&](auto token) { return timer.async_wait(token); });
    }
    this_request::sleep_for(1us);
    const std::string copy = this_request::offload([&] { return std::string(line); });
    boost::asio::steady_timer timer(this_request::executor(), 1us);
    await([&](auto token) { return timer.async_wait(token); }, 1h);
    const auto result = await([&](auto token) { return async_step(this_request::executor(), token); });
    if (wait_for_next_request()) throw std::logic_error("the client has said more than one line");
    if (*result == "memory") wfile.write(copy);
  }
};

/// Ends the process of a conversation.
[[noreturn]] void fail(const std::string& why) {
  std::fprintf(stderr, "%s\n", why.c_str());
  ::_exit(2);
}
void require(bool holds, const std::string& why) {
  if (!holds) fail(why);
}

/// What a client hears; nothing if the server ends the connection first.
template <class Converse>
std::string heard(const Converse& converse) {
  try {
    return converse();
  } catch (const std::system_error& error) {
    require(error.code() != std::errc::resource_unavailable_try_again, std::string(error.what()) + ": too late");
    return {};
  }
}

/// Says when it has begun to serve.
template <class Base>
struct Observed : Base {
  Observed() : Base({"127.0.0.1", 0}, {.log = [](LogLevel, std::string_view) {}}) {
    if constexpr (requires(Base base) { base.processes; }) this->processes = 1;
    if constexpr (requires(Base base) { base.loops; }) this->loops = 2;
    this->call_when_ready([this] { has_begun = true; });
  }
  ~Observed() override { this->server_close(); }
  std::atomic<bool> has_begun = false;
};

/// A server and the thread that serves, which are refused things as the test says; the test's own thread is not.
template <class Base>
class Subject {
 public:
  /// False if there can be no server, or it cannot begin to serve: a program would end with an error.
  bool begin() {
    if (!make()) return false;
    serving_ = std::thread([this] {
      error_ = detail::error_of([this] { server->serve_forever(); });
      if (error_) server->server_close();
      has_ended_ = true;
    });
    require(eventually([this] { return server->has_begun || has_ended_; }), "serving did not begin");
    if (!server->has_begun) serving_.join();
    return server->has_begun;
  }

  /// False if there can be no server.
  bool make() {
    const auto error = detail::error_of([this] {
      const Scarcity::Exposure exposed;
      server.emplace();
    });
    return !error;
  }

  /// Drains the server, and looks at how that went.
  void drain(AbstractServer::duration limit, std::size_t most_aborted) {
    std::optional<DrainResult> result;
    const auto error = detail::error_of([&] {
      const Scarcity::Exposure exposed;
      result = server->drain(limit);
    });
    if (error) fail("drain threw " + detail::describe(error));
    require(result->aborted <= most_aborted, "drain had to abort " + std::to_string(result->aborted));
    require(result->remaining == 0, "requests remain");
  }

  void end() {
    if (serving_.joinable()) serving_.join();
    if (error_) fail("serve_forever threw " + detail::describe(error_));
    const Scarcity::Exposure exposed;
    server.reset();
  }

  /// True if the server gave the answer that it should.
  bool answers(std::string_view line, std::string_view answer) const {
    StreamClient client(server->server_address());
    return answer == heard([&] {
             client.send(line);
             client.shutdown_write();
             return client.read_all();
           });
  }

  std::optional<Observed<Base>> server;

 private:
  std::thread serving_;
  std::exception_ptr error_;
  std::atomic<bool> has_ended_ = false;
};

/// Clients come one after another; one at most may go away without an answer.
template <class Base>
void serves_one_after_another() {
  Subject<Base> subject;
  if (!subject.begin()) return;
  int lost = 0;
  const auto visit = [&](std::string_view line, std::string_view answer) {
    if (!subject.answers(line, answer)) ++lost;
  };
  visit("one\n", "one\n");
  visit("throw\n", "");
  visit("two\n", "two\n");
  visit("three\n", "three\n");
  require(lost <= 1, std::to_string(lost) + " clients had no answer");
  subject.drain(patience, 0);
  subject.end();
}

/// Clients come while several things in a row are refused, and one after that.
template <class Base>
void serves_again() {
  Subject<Base> subject;
  if (!subject.begin()) return;
  for (const char* const line : {"one\n", "throw\n", "two\n"}) subject.answers(line, line);
  Scarcity::end();
  require(subject.answers("three\n", "three\n"), "the server answers no more");
  subject.drain(patience, 0);
  subject.end();
}

/// The server drains while a client keeps its handler.
template <class Base>
void cuts_off() {
  Subject<Base> subject;
  if (!subject.begin()) return;
  StreamClient client(subject.server->server_address());
  heard([&] {  // or the request is what the refusal costs
    client.send("hang\n");
    return client.read_line();
  });
  subject.drain(1ms, 1);
  subject.end();
}

/// The server drains before it has ever served.
template <class Base>
void serves_the_backlog() {
  Subject<Base> subject;
  if (!subject.make()) return;
  StreamClient first(subject.server->server_address());
  StreamClient second(subject.server->server_address());
  first.send("one\n");
  second.send("two\n");
  first.shutdown_write();
  second.shutdown_write();
  subject.drain(patience, 0);
  const bool is_first_lost = heard([&] { return first.read_all(); }) != "one\n";
  const bool is_second_lost = heard([&] { return second.read_all(); }) != "two\n";
  require(!is_first_lost || !is_second_lost, "no client had an answer");
  subject.end();
}

/// Has the conversation once without the first thing that it asks for, once without the second, and so on.
void refuse_each_in_turn(Resource resource, void (*converse)(), std::size_t count = 1) {
  const Scarcity::Exemption test;
  std::size_t nth = 0;
  do {
    ++nth;
    const auto [status, text] = in_child([&] {
      Scarcity::refuse(resource, nth, count);
      converse();
    });
    CAPTURE(nth);
    CAPTURE(text);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
  } while (Scarcity::has_struck());
  Scarcity::end();
}

}  // namespace

TYPE_TO_STRING(sockserv::TCPServer<Busy>);
TYPE_TO_STRING(sockserv::ThreadingTCPServer<Busy>);
TYPE_TO_STRING(sockserv::ThreadPoolTCPServer<Busy>);
TYPE_TO_STRING(sockserv::ForkingTCPServer<Busy>);
TYPE_TO_STRING(sockserv::FiberTCPServer<Busy>);
TYPE_TO_STRING(sockserv::PreForkingTCPServer<Busy>);
TYPE_TO_STRING(sockserv::PreForkingMixIn<sockserv::ThreadPoolTCPServer<Busy>>);
TYPE_TO_STRING(sockserv::PreForkingFiberTCPServer<Busy>);

namespace {

#define SERVERS_IN_ONE_PROCESS \
  TCPServer<Busy>, ThreadingTCPServer<Busy>, ThreadPoolTCPServer<Busy>, ForkingTCPServer<Busy>, FiberTCPServer<Busy>
#define SERVERS                                                                                  \
  SERVERS_IN_ONE_PROCESS, PreForkingTCPServer<Busy>, PreForkingMixIn<ThreadPoolTCPServer<Busy>>, \
      PreForkingFiberTCPServer<Busy>

TEST_CASE_TEMPLATE("one malloc that fails costs one request at most", Server, SERVERS) {
  refuse_each_in_turn(Resource::memory, serves_one_after_another<Server>);
}

TEST_CASE_TEMPLATE("four mallocs in a row that fail do not keep the server from the next client", Server, SERVERS) {
  refuse_each_in_turn(Resource::memory, serves_again<Server>, 4);
}

TEST_CASE_TEMPLATE("one thread that cannot be made costs one request at most", Server, SERVERS) {
  refuse_each_in_turn(Resource::thread, serves_one_after_another<Server>);
}

TEST_CASE_TEMPLATE("one mmap that fails costs one request at most", Server, SERVERS) {
  refuse_each_in_turn(Resource::mapping, serves_one_after_another<Server>);
}

TEST_CASE_TEMPLATE("a drain aborts what does not end, whichever malloc fails", Server, SERVERS) {
  refuse_each_in_turn(Resource::memory, cuts_off<Server>);
}

// In a pre-forking server that has never served, the first of them cost the memory that its workers would share.
TEST_CASE_TEMPLATE("a drain without a serving loop takes the backlog but for one client, whichever malloc fails",
                   Server, SERVERS_IN_ONE_PROCESS) {
  refuse_each_in_turn(Resource::memory, serves_the_backlog<Server>);
}

TEST_CASE_TEMPLATE("a drain without a serving loop takes the backlog but for one client, whichever thread fails",
                   Server, SERVERS) {
  refuse_each_in_turn(Resource::thread, serves_the_backlog<Server>);
}

/// How often something takes memory, once it has been done before.
template <class Action>
std::size_t allocations_of(const Action& action) {
  action();
  Scarcity::count(Resource::memory);
  action();
  const std::size_t count = Scarcity::asked();
  Scarcity::end();
  return count;
}

struct Bare : StreamRequestHandler {
  void handle() override { wfile.write("hello"); }
};

struct Stateful : StreamRequestHandler {
  Stateful(std::string& given, const std::string& kept) : one(given), other(kept) {}
  void handle() override { wfile.write(one + other); }
  std::string& one;
  const std::string& other;
};

TEST_CASE("a handler that is constructed with arguments takes no memory") {
  if (allocations_of([] { ::operator delete(::operator new(1)); }) == 0) return skip("allocations cannot be counted");
  std::string one = "hel";
  const std::string other = "lo";
  const ServerOptions unbound{.bind_and_activate = false};
  TCPServer<Bare> bare(loopback(), unbound);
  TCPServer<Stateful> with_arguments(loopback(), unbound);
  with_arguments.construct_handlers_with(one, std::string(other));
  TCPServer<Stateful> with_factory(loopback(), unbound);
  with_factory.handler_factory = [&] { return std::make_unique<Stateful>(one, other); };

  const auto per_request = [](auto& server) {
    return allocations_of([&] { CHECK(testing::converse(server, "") == "hello"); });
  };
  CHECK(per_request(with_arguments) == per_request(bare));
  CHECK(per_request(with_factory) == per_request(bare) + 1);
}

TEST_CASE("a task that a pool does not take stays the caller's, and is not run later") {
  struct Flag final : detail::Task {
    explicit Flag(std::atomic<bool>& flag) : has_run(flag) {}
    bool run() override { return has_run = true; }
    std::atomic<bool>& has_run;
  };
  bool was_taken = false;
  for (std::size_t nth = 1; !was_taken; ++nth) {
    CAPTURE(nth);
    std::atomic<bool> has_run = false;
    std::unique_ptr<detail::Runner> pool =
        detail::make_pool([] { return detail::PoolSettings{.threads = 1, .queue = 1}; }, [] {});
    std::unique_ptr<detail::Task> task = std::make_unique<Flag>(has_run);
    Scarcity::refuse(Resource::memory, nth);
    was_taken = !detail::error_of([&] { pool->run(task); });
    Scarcity::end();
    CHECK((task == nullptr) == was_taken);
    if (!was_taken) CHECK(pool->running() == 0);
    pool.reset();
    CHECK(has_run == was_taken);
  }
}

TEST_CASE("a loop that cannot be started makes serve_forever throw, and ends those that were") {
  FiberTCPServer<Busy> server(loopback(), quiet());
  server.loops = 3;
  const std::size_t threads = thread_count();
  Scarcity::refuse(Resource::thread, 3);
  CHECK_THROWS_AS(server.serve_forever(), boost::thread_resource_error);
  CHECK(Scarcity::has_struck());
  CHECK(eventually([&] { return thread_count() <= threads; }));
}

}  // namespace
