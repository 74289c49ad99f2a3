/// Every family under every mixin, in every situation: the same handler, the same words, the same outcome.

#include <doctest/doctest.h>

#include <thread>
#include <vector>

#include "scene.hpp"

using namespace matrix;
using namespace support;
using namespace sockserv;

namespace {

void expect_answer(Scene& scene, const std::string& text = "echo still here") {
  const auto client = scene.connect();
  client->say(text);
  if (scene.streams) client->end_of_commands();
  CHECK(client->hear() == text);
  client->expect_end();
}

void answers(Scene scene) {
  for (int i = 0; i < 3; ++i) expect_answer(scene, "echo " + std::to_string(i));
  CHECK(scene.server->stats().accepted >= 3);
}

void survives_an_exception(Scene scene) {
  const int before = events()->standard_errors;
  const auto client = scene.connect();
  client->say("throw");
  client->expect_end();
  expect_answer(scene);
  CHECK(eventually([&] { return events()->standard_errors == before + 1; }));
}

void survives_an_exception_of_another_kind(Scene scene) {
  const int before = events()->other_errors;
  const auto client = scene.connect();
  client->say("throw int");
  client->expect_end();
  expect_answer(scene);
  CHECK(eventually([&] { return events()->other_errors == before + 1; }));
}

/// In the middle of what it sends, on a stream; before its reply, for datagrams. (UDP does not notice.)
void survives_a_peer_that_vanishes(Scene scene) {
  const int before = events()->peers_gone;
  const int errors_before = events()->standard_errors;
  const auto client = scene.connect();
  if (scene.streams) {
    client->say("echo first");
    CHECK(client->hear() == "echo first");
    client->say_half();
    client->vanish();
  } else {
    client->say("hang");
    CHECK(client->hear() == "hang");
    client->vanish();
    client->release();
  }
  expect_answer(scene);
  if (scene.streams || !scene.is_ip) CHECK(eventually([&] { return events()->peers_gone == before + 1; }));
  CHECK(events()->standard_errors == errors_before);
}

/// The end of what a client sends is not the end of the conversation; for datagrams, an empty one is a request.
void replies_after_half_close(Scene scene) {
  const auto client = scene.connect();
  if (scene.streams) client->say("echo before the end");
  client->end_of_commands();
  CHECK(client->hear() == (scene.streams ? "echo before the end" : ""));
  client->expect_end();
}

void serves_sixteen_clients(Scene scene) {
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 16; ++i) clients.push_back(scene.connect());
  for (std::size_t i = 0; i < clients.size(); ++i) {
    clients[i]->say("echo " + std::to_string(i));
    // One at a time means to the end of each conversation; otherwise all of them go on at once.
    if (!scene.concurrent && scene.streams) clients[i]->end_of_commands();
  }
  for (std::size_t i = 0; i < clients.size(); ++i) CHECK(clients[i]->hear() == "echo " + std::to_string(i));
  if (scene.concurrent && scene.streams) CHECK(scene.server->requests_running() == 16);
  for (const auto& client : clients) {
    if (scene.concurrent && scene.streams) client->end_of_commands();
    client->expect_end();
  }
}

void shuts_down_with_live_requests(Scene scene) {
  const auto client = scene.connect();
  client->say("hang");
  CHECK(client->hear() == "hang");
  std::thread stopper([&] { scene.server->shutdown(); });
  if (scene.concurrent) stopper.join();  // does not wait for the request
  client->release();
  CHECK(client->hear() == "go on");
  if (scene.streams) client->end_of_commands();
  client->expect_end();
  if (!scene.concurrent) stopper.join();
  CHECK(scene.server->drain(patience).aborted == 0);
  CHECK(scene.server->state() == ServerState::stopped);
}

/// It has nothing to ask, and does not go either.
void ends_an_idle_connection(Scene scene) {
  const auto client = scene.connect();
  client->say("next");
  CHECK(client->hear() == "next");
  client->say("next");
  CHECK(client->hear() == "next");
  CHECK(scene.server->drain(patience).aborted == 0);
  client->expect_end();
}

void finishes_a_request_that_has_begun(Scene scene) {
  const auto client = scene.connect();
  client->say("next");
  CHECK(client->hear() == "next");
  client->say_half();
  std::thread drainer([&] { CHECK(scene.server->drain(patience).aborted == 0); });
  CHECK(eventually([&] { return scene.server->stop_requested(); }));
  client->say("f");
  CHECK(client->hear() == "echo half");
  client->end_of_commands();
  client->expect_end();
  drainer.join();
}

void drains_by_force(Scene scene) {
  const auto client = scene.connect();
  client->say("hang");
  CHECK(client->hear() == "hang");
  const DrainResult result = scene.server->drain(10ms);
  CHECK(result.aborted == 1);
  // A datagram's handler has no connection to be woken by, and a thread cannot be ended from outside.
  const bool lives_on = !scene.streams && !scene.processes;
  CHECK(result.remaining == (lives_on ? 1 : 0));
  if (lives_on) client->release();
  client->expect_end();
}

#define STREAM_SERVERS FAMILY(TCP, StreamActor), FAMILY(UnixStream, StreamActor)
#define SERVERS                                                                          \
  FAMILY(TCP, StreamActor), FAMILY(UDP, DatagramActor), FAMILY(UnixStream, StreamActor), \
      FAMILY(UnixDatagram, DatagramActor)

TEST_CASE_TEMPLATE("answers", Server, SERVERS) { answers(stage<Server>()); }
TEST_CASE_TEMPLATE("survives an exception", Server, SERVERS) { survives_an_exception(stage<Server>()); }
TEST_CASE_TEMPLATE("survives an exception of another kind", Server, SERVERS) {
  survives_an_exception_of_another_kind(stage<Server>());
}
TEST_CASE_TEMPLATE("survives a peer that vanishes", Server, SERVERS) { survives_a_peer_that_vanishes(stage<Server>()); }
TEST_CASE_TEMPLATE("replies after half-close", Server, SERVERS) { replies_after_half_close(stage<Server>()); }
TEST_CASE_TEMPLATE("serves sixteen clients", Server, SERVERS) { serves_sixteen_clients(stage<Server>()); }
TEST_CASE_TEMPLATE("shuts down with live requests", Server, SERVERS) { shuts_down_with_live_requests(stage<Server>()); }
TEST_CASE_TEMPLATE("ends an idle connection when it drains", Server, STREAM_SERVERS) {
  ends_an_idle_connection(stage<Server>());
}
TEST_CASE_TEMPLATE("finishes a request that has begun when it drains", Server, STREAM_SERVERS) {
  finishes_a_request_that_has_begun(stage<Server>());
}
TEST_CASE_TEMPLATE("drains by force", Server, SERVERS) { drains_by_force(stage<Server>()); }

}  // namespace
