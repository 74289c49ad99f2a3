/// The limits of ServerOptions and the counts of stats(), for streams under every mixin.

#include <doctest/doctest.h>

#include <system_error>
#include <vector>

#include "scene.hpp"

using namespace matrix;
using namespace support;
using namespace sockserv;

namespace {

/// Waits until an event has happened once more than before.
struct Once {
  const std::atomic<int>& count;
  const int before = count;
  bool happened() const {
    return eventually([this] { return count == before + 1; });
  }
};

void check_count(const Scene& scene, std::uint64_t ServerStats::* figure, std::uint64_t expected) {
  CHECK(eventually([&] { return scene.server->stats().*figure == expected; }));
}

void holds_max_connections(const Scene& scene) {
  events()->serving = 0;  // some may have been killed in earlier cases
  events()->most_serving = 0;
  const int limit = scene.concurrent ? 2 : 1;
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 6; ++i) {
    clients.push_back(scene.connect());
    clients.back()->say("hang");
  }
  CHECK(eventually([&] { return events()->serving == limit; }));
  for (const auto& client : clients) {  // in the order in which they came, so that those in the backlog get their turn
    CHECK(client->hear() == "hang");
    client->release();
    CHECK(client->hear() == "go on");
    client->end_of_commands();
    client->expect_end();
  }
  CHECK(events()->most_serving == limit);
  CHECK(scene.server->stats().rejected == 0);
}

/// True if the server answers a new client; it may reject it instead.
bool answers_another(const Scene& scene) {
  const auto client = scene.connect();
  try {
    client->say("echo another");
    client->end_of_commands();
    return client->hear() == "echo another";
  } catch (const std::system_error&) {  // reset
    return false;
  }
}

void rejects_more_from_one_address(const Scene& scene) {
  const auto first = scene.connect();
  const auto second = scene.connect();
  for (const auto& client : {first.get(), second.get()}) {
    client->say("echo here");
    CHECK(client->hear() == "echo here");
  }
  for (int i = 0; i < 3; ++i) CHECK_FALSE(answers_another(scene));
  CHECK(eventually([&] { return scene.server->stats().rejected_per_address == 3; }));
  first->end_of_commands();
  first->expect_end();
  CHECK(eventually([&] { return answers_another(scene); }));  // once the server has noticed
  second->say("echo still here");
  CHECK(second->hear() == "echo still here");
  second->end_of_commands();
  second->expect_end();
  CHECK(eventually([&] {
    const ServerStats stats = scene.server->stats();
    return stats.active == 0 && stats.accepted == stats.completed + stats.rejected;
  }));
}

void cuts_off_the_idle(const Scene& scene) {
  for (std::uint64_t i = 1; i <= 2; ++i) {
    const Once idle{events()->idle_too_long};
    const auto client = scene.connect();
    client->expect_end();
    CHECK(idle.happened());
    check_count(scene, &ServerStats::aborted_idle_timeout, i);
    check_count(scene, &ServerStats::handler_errors, 0);
  }
}

void cuts_off_who_does_not_read(const Scene& scene) {
  const Once idle{events()->idle_too_long};
  StreamClient client(scene.server->server_address());
  client.send("flood\n");
  CHECK(idle.happened());
  check_count(scene, &ServerStats::aborted_idle_timeout, 1);
}

void cuts_off_who_trickles(const Scene& scene) {
  const Once deadline{events()->requests_too_long};
  StreamClient client(scene.server->server_address());
  CHECK_THROWS_AS(
      [&] {
        for (;;) {
          client.send("x");
          std::this_thread::sleep_for(1ms);
        }
      }(),
      std::system_error);
  CHECK(deadline.happened());
  check_count(scene, &ServerStats::aborted_request_timeout, 1);
}

void cuts_off_the_slow(const Scene& scene) {
  const Once too_slow{events()->too_slow};
  const auto patient = scene.connect();  // says nothing at all, which is its right
  if (!scene.concurrent) patient->vanish();
  const auto slow = scene.connect();
  slow->say_half();
  slow->expect_end();
  CHECK(too_slow.happened());
  check_count(scene, &ServerStats::aborted_receive_rate, 1);
  if (!scene.concurrent) return;
  patient->say("echo patiently");
  CHECK(patient->hear() == "echo patiently");
}

void counts_add_up(const Scene& scene) {
  const std::string text = "echo " + std::string(30000, 'x');
  constexpr std::uint64_t clients = 5;
  constexpr std::uint64_t lines = 4;
  for (std::uint64_t i = 1; i <= clients; ++i) {
    const auto client = scene.connect();
    for (std::uint64_t j = 1; j <= lines; ++j) {
      client->say(text);
      CHECK(client->hear() == text);
      const std::uint64_t bytes = ((i - 1) * lines + j) * (text.size() + 1);
      if (scene.processes) continue;  // other processes show theirs at the end
      check_count(scene, &ServerStats::bytes_in, bytes);
      check_count(scene, &ServerStats::bytes_out, bytes);
    }
    CHECK(scene.server->stats().active >= 1);
    client->end_of_commands();
    client->expect_end();
  }
  CHECK(eventually([&] { return scene.server->stats().completed == clients; }));
  CHECK(eventually([&] { return scene.server->stats().active == 0; }));
  CHECK(scene.server->stats().accepted == clients);
  check_count(scene, &ServerStats::bytes_in, clients * lines * (text.size() + 1));
  check_count(scene, &ServerStats::bytes_out, clients * lines * (text.size() + 1));
}

#define STREAM_SERVERS FAMILY(TCP, StreamActor), FAMILY(UnixStream, StreamActor)

TEST_CASE_TEMPLATE("max_connections holds, and the backlog keeps the rest until there is room", Server,
                   STREAM_SERVERS) {
  holds_max_connections(stage<Server>({.max_connections = 2}));
}
TEST_CASE_TEMPLATE("max_connections_per_address rejects one more, until one ends", Server,
                   ThreadingTCPServer<StreamActor>, ForkingTCPServer<StreamActor>, ThreadPoolTCPServer<StreamActor>) {
  rejects_more_from_one_address(stage<Server>({.max_connections_per_address = 2}));
}
TEST_CASE_TEMPLATE("idle_timeout aborts a client that says nothing", Server, STREAM_SERVERS) {
  cuts_off_the_idle(stage<Server>({.idle_timeout = 50ms}));
}
TEST_CASE_TEMPLATE("idle_timeout aborts a client that does not read", Server, STREAM_SERVERS) {
  cuts_off_who_does_not_read(stage<Server>({.idle_timeout = 100ms}));
}
TEST_CASE_TEMPLATE("request_timeout aborts a client that sends a byte at a time", Server, STREAM_SERVERS) {
  cuts_off_who_trickles(stage<Server>({.request_timeout = 100ms}));
}
TEST_CASE_TEMPLATE("min_receive_rate aborts who begins and does not go on, and nobody else", Server,
                   FAMILY(TCP, StreamActor)) {
  cuts_off_the_slow(stage<Server>({.min_receive_rate = 1000}));
}
TEST_CASE_TEMPLATE("stats add up", Server, STREAM_SERVERS) { counts_add_up(stage<Server>()); }

}  // namespace
