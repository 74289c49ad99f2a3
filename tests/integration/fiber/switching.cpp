/// What belongs to a thread and should belong to a fiber: each fiber finds its own again after others have run.

#include <doctest/doctest.h>

#include <atomic>
#include <cerrno>
#include <exception>
#include <stdexcept>

#include "integration/acting.hpp"
#include "support/support.hpp"

namespace {

using namespace acting;
using namespace support;

std::string line_from(StreamRequestHandler& handler) {
  std::string line(handler.rfile.readline().value_or("\n"));
  line.pop_back();
  return line;
}

std::string what_is_caught() {
  const auto caught = std::current_exception();
  return caught ? detail::describe(caught) : "nothing";
}

/// Parks inside a catch block, and then says what it sees there.
void park_in_catch_block(StreamRequestHandler& handler) {
  const std::string name = line_from(handler);
  try {
    try {
      throw std::runtime_error(name);
    } catch (const std::runtime_error&) {
      handler.wfile.write("parked\n");
      handler.rfile.readline();
      handler.wfile.write(what_is_caught() + "\n");
      throw;
    }
  } catch (const std::runtime_error& rethrown) {
    handler.wfile.write(std::string(rethrown.what()) + "\n");
  }
  handler.wfile.write(what_is_caught() + "\n");
}

TEST_CASE("fibers parked in catch blocks keep their own exceptions, whatever the order in which they go on") {
  OneLoop server(park_in_catch_block);
  const ServerThread background(server);
  const std::vector<std::string> names{"first", "second", "third"};
  // A thread's caught exceptions are a stack, so going on in the order of parking would mix them up.
  for (const std::vector<std::size_t>& order : {std::vector<std::size_t>{0, 1, 2}, {1, 0, 2}, {2, 0, 1}}) {
    std::vector<StreamClient> clients;
    for (const std::string& name : names) {
      clients.emplace_back(server.server_address());
      clients.back().send(name + "\n");
      CHECK(clients.back().read_line() == "parked\n");
    }
    for (const std::size_t i : order) {
      clients[i].send("go on\n");
      CHECK(clients[i].read_all() == "std::runtime_error: " + names[i] + "\n" + names[i] + "\nnothing\n");
    }
  }
}

/// Parks in its destructor, and says how many exceptions are in flight before and after.
struct ParksInDestructor {
  StreamRequestHandler& handler;
  ~ParksInDestructor() {
    handler.wfile.write(std::to_string(std::uncaught_exceptions()) + "\n");
    handler.rfile.readline();
    handler.wfile.write(std::to_string(std::uncaught_exceptions()) + "\n");
  }
};

/// Has so many exceptions in flight at once when it parks.
void unwind(StreamRequestHandler& handler, int depth) {
  struct UnwindsToo {
    StreamRequestHandler& handler;
    int depth;
    ~UnwindsToo() { unwind(handler, depth); }
  };
  if (depth == 0) {
    const ParksInDestructor parks{handler};
    return;
  }
  try {
    [[maybe_unused]] const UnwindsToo another{handler, depth - 1};  // NOLINT(clang-analyzer-deadcode.DeadStores)
    throw std::runtime_error("unwinding");
  } catch (const std::runtime_error&) {  // all that was wanted is the way here
  }
}

TEST_CASE("fibers parked in destructors while the stack is unwound keep their count of exceptions in flight") {
  OneLoop server([](StreamRequestHandler& handler) {
    unwind(handler, std::stoi(line_from(handler)));
    handler.wfile.write(std::to_string(std::uncaught_exceptions()) + "\n");
  });
  const ServerThread background(server);
  std::vector<StreamClient> clients;
  const std::vector<std::string> depths{"1\n", "0\n", "3\n", "2\n"};
  for (const std::string& depth : depths) {
    clients.emplace_back(server.server_address());
    clients.back().send(depth);
    CHECK(clients.back().read_line() == depth);
  }
  for (const std::size_t i : {2U, 1U, 0U, 3U}) {
    clients[i].send("go on\n");
    CHECK(clients[i].read_line() == depths[i]);
    CHECK(clients[i].read_line() == "0\n");
  }
}

TEST_CASE("errno survives a wait, although another fiber has changed it") {
  static std::atomic<bool> go_on;
  go_on = false;
  OneLoop server([](StreamRequestHandler& handler) {
    const int mine = std::stoi(line_from(handler));
    handler.wfile.write("parked\n");
    errno = mine;
    do {
      this_request::sleep_for(1ms);
    } while (!go_on && errno == mine);
    handler.wfile.write(std::to_string(errno));
  });
  const ServerThread background(server);
  StreamClient first(server.server_address());
  StreamClient second(server.server_address());
  first.send("1001\n");
  CHECK(first.read_line() == "parked\n");
  second.send("1002\n");
  CHECK(second.read_line() == "parked\n");
  go_on = true;
  CHECK(first.read_all() == "1001");
  CHECK(second.read_all() == "1002");
}

TEST_CASE("this_request means the innermost handler's server, also after a wait within it") {
  struct Inner : StreamRequestHandler {
    explicit Inner(StreamRequestHandler& out) : outer(out) {}
    void handle() override {
      outer.wfile.write("parked\n");
      outer.rfile.readline();
      outer.wfile.write(this_request::stop_requested() ? "inner stops\n" : "inner goes on\n");
    }
    StreamRequestHandler& outer;
  };
  OneLoop server([](StreamRequestHandler& handler) {
    if (line_from(handler) == "nested") {
      TCPServer<Inner> inner(Address("127.0.0.1", 0), {.bind_and_activate = false});
      inner.handler_factory = [&] { return std::make_unique<Inner>(handler); };
      inner.request_stop();
      testing::converse(inner, "");
    }
    handler.wfile.write(this_request::stop_requested() ? "outer stops\n" : "outer goes on\n");
    handler.rfile.readline();  // parked when the nested one goes on
  });
  const ServerThread background(server);
  StreamClient nested(server.server_address());
  nested.send("nested\n");
  CHECK(nested.read_line() == "parked\n");
  StreamClient plain(server.server_address());
  plain.send("plain\n");
  CHECK(plain.read_line() == "outer goes on\n");
  nested.send("go on\n");
  CHECK(nested.read_line() == "inner stops\n");
  CHECK(nested.read_line() == "outer goes on\n");
}

TEST_CASE("a handler is bound to its own request, although others were made while its fiber was parked") {
  static std::atomic<int> made;
  static std::atomic<bool> go_on;
  made = 0;
  go_on = false;
  struct SaysWhoAsked : StreamRequestHandler {
    std::string first_line{*rfile.readline()};  // parks in the constructor, too
    void handle() override { wfile.write(first_line + client_address.to_string()); }
  };
  FiberTCPServer<SaysWhoAsked> server({"127.0.0.1", 0});
  server.loops = 1;
  server.handler_factory = [] {
    ++made;
    while (!go_on) this_request::sleep_for(1ms);
    return std::make_unique<SaysWhoAsked>();
  };
  const ServerThread background(server);
  std::vector<StreamClient> clients;
  for (int i = 1; i <= 3; ++i) {
    clients.emplace_back(server.server_address());
    CHECK(eventually([&] { return made == i; }));
  }
  go_on = true;
  for (const std::size_t i : {1U, 0U, 2U}) {
    const std::string line = std::to_string(i) + "\n";
    clients[i].send(line);
    CHECK(clients[i].read_all() == line + clients[i].address().to_string());
  }
}

}  // namespace
