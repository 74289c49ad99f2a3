/// What clients see of workers that are replaced all the time.

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <random>
#include <set>
#include <sockserv.hpp>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "support/support.hpp"

namespace {

using namespace sockserv;
using namespace support;

constexpr int clients = 32;
constexpr int requests_of_each = 5;

/// How many connections each client makes; more outside ctest, by SOCKSERV_REPLACED_WORKERS.
int connections() {
  const char* const given = std::getenv("SOCKSERV_REPLACED_WORKERS");
  return given ? std::stoi(given) : 20;
}

struct AnswersLines : StreamRequestHandler {
  explicit AnswersLines(std::atomic<int>& requests_read) : read(requests_read) {}
  void handle() override {
    while (wait_for_next_request()) {
      const auto line = rfile.readline();
      if (!line) return;
      ++read;
      wfile.write(*line);
    }
  }
  std::atomic<int>& read;
};

/// What happened to the requests of all clients.
struct Outcome {
  std::atomic<int> answered = 0;
  std::atomic<int> first_lost = 0;
  std::atomic<int> later_lost = 0;  // sent when the server had ended the connection, or was about to
};

/// One connection, with pauses before each request.
void converse(const Address& server, std::minstd_rand& random, Outcome& outcome) {
  StreamClient client(server);
  for (int request = 0; request < requests_of_each; ++request) {
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 3000));
    std::string answer;
    try {
      client.send("hello\n");
      answer = client.read_line();
    } catch (const std::system_error&) {  // reset
    }
    if (answer != "hello\n") {
      ++(request == 0 ? outcome.first_lost : outcome.later_lost);
      return;
    }
    ++outcome.answered;
  }
}

template <class Server>
void check_no_first_request_is_lost(bool are_ended) {
  Server server(loopback(), quiet());
  server.processes = 4;
  server.max_requests_per_child = 20;
  const Shared<std::atomic<int>> read;
  server.construct_handlers_with(*read);
  const ServerThread background(server);
  Outcome outcome;
  std::atomic<bool> done = false;
  std::thread ends([&] {
    while (are_ended && !done) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      const std::set<pid_t> workers = server.active_children();
      if (!workers.empty()) ::kill(*workers.begin(), SIGTERM);
    }
  });
  std::vector<std::thread> all;
  for (int i = 0; i < clients; ++i) {
    all.emplace_back([&, i] {
      std::minstd_rand random(static_cast<unsigned>(i + 1));
      for (int left = connections(); left > 0; --left) converse(server.server_address(), random, outcome);
    });
  }
  for (std::thread& client : all) client.join();
  done = true;
  ends.join();
  MESSAGE("answered ", outcome.answered.load(), ", later requests lost ", outcome.later_lost.load());
  CHECK(outcome.first_lost == 0);
  CHECK(outcome.answered > 0);
  CHECK(*read == outcome.answered);  // what was lost no handler has read, so a client may repeat it
}

TEST_CASE_TEMPLATE("workers that are replaced all the time leave no first request unanswered", Server,
                   PreForkingMixIn<ThreadingTCPServer<AnswersLines>>,
                   PreForkingMixIn<ThreadPoolTCPServer<AnswersLines>>, PreForkingFiberTCPServer<AnswersLines>) {
  SUBCASE("after 20 connections") { check_no_first_request_is_lost<Server>(false); }
  SUBCASE("and by SIGTERM") { check_no_first_request_is_lost<Server>(true); }
}

}  // namespace
