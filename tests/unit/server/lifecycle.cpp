/// The steps from one state of a server to another.

#include <doctest/doctest.h>

#include <functional>
#include <memory>
#include <sockserv/detail/clock.hpp>
#include <sockserv/detail/listener.hpp>
#include <sockserv/detail/server_socket.hpp>
#include <stdexcept>
#include <thread>

#include "server/lifecycle.hpp"
#include "support/support.hpp"

namespace {

using namespace sockserv;
using namespace support;

struct Subject {
  Subject() {
    auto socket = std::make_shared<detail::ServerSocket>(loopback(), SOCK_STREAM);
    socket->bind(loopback(), {});
    socket->listen(1);
    listener.own(std::move(socket));
  }
  bool begin() {
    return lifecycle.begin_serving("test", typeid(Subject), [] {});
  }
  ServerState state(bool runs = false) const {
    return lifecycle.state([runs] { return runs; });
  }

  detail::Listener listener;
  Lifecycle lifecycle{listener};
};

TEST_CASE("lifecycle: created, serving, draining while a thread serves or a request runs, stopped") {
  Subject subject;
  CHECK(subject.state() == ServerState::created);
  CHECK(subject.lifecycle.served_as() == nullptr);
  CHECK(subject.begin());
  CHECK(subject.state() == ServerState::serving);
  CHECK(*subject.lifecycle.served_as() == typeid(Subject));
  subject.lifecycle.request_stop();
  CHECK(subject.state() == ServerState::draining);
  subject.lifecycle.end_serving();
  CHECK(subject.state(true) == ServerState::draining);
  CHECK(subject.state(false) == ServerState::stopped);
}

TEST_CASE("lifecycle: between single requests a server serves, and once it was told to stop it never does again") {
  Subject subject;
  CHECK(subject.begin());
  subject.lifecycle.end_serving();
  CHECK(subject.state() == ServerState::serving);
  CHECK(subject.begin());
  subject.lifecycle.end_serving();
  subject.lifecycle.request_stop();
  CHECK_FALSE(subject.begin());
  CHECK(subject.state() == ServerState::stopped);
}

TEST_CASE("lifecycle: one thread serves at a time, and what a check throws leaves the state as it was") {
  Subject subject;
  const auto fails = [] { throw std::invalid_argument("a knob"); };
  CHECK_THROWS_AS(subject.lifecycle.begin_serving("test", typeid(Subject), fails), std::invalid_argument);
  CHECK(subject.state() == ServerState::created);
  CHECK(subject.begin());
  CHECK_THROWS_WITH_AS(subject.begin(), "test: another thread serves already", std::logic_error);
  subject.lifecycle.end_serving();
  CHECK(subject.begin());
  subject.lifecycle.end_serving();
}

TEST_CASE("lifecycle: a server without a socket that listens does not serve") {
  Subject subject;
  subject.lifecycle.close_listener();
  CHECK_THROWS_AS(subject.begin(), std::logic_error);
}

TEST_CASE("lifecycle: the thread that serves closes the listener") {
  Subject subject;
  CHECK(subject.begin());
  subject.lifecycle.close_listener();
  CHECK(subject.listener.fileno() >= 0);
  subject.lifecycle.end_serving();
  CHECK(subject.listener.fileno() == -1);
}

TEST_CASE("lifecycle: a stopped server drains its backlog, once") {
  Subject subject;
  subject.lifecycle.request_stop();
  CHECK(subject.state() == ServerState::stopped);
  CHECK_FALSE(subject.lifecycle.begin_serving_backlog(typeid(Subject)));
  subject.lifecycle.want_backlog();
  CHECK(subject.state() == ServerState::draining);
  CHECK(subject.lifecycle.begin_serving_backlog(typeid(Subject)));
  CHECK_FALSE(subject.lifecycle.begin_serving_backlog(typeid(Subject)));
  subject.lifecycle.backlog_taken();
  subject.lifecycle.end_serving();
  CHECK(subject.state() == ServerState::stopped);
  subject.lifecycle.want_backlog();
  CHECK_FALSE(subject.lifecycle.is_backlog_wanted());
}

TEST_CASE("lifecycle: a backlog that was left may be wanted again, and is gone with the listener") {
  Subject subject;
  subject.lifecycle.want_backlog();
  subject.lifecycle.leave_backlog();
  CHECK_FALSE(subject.lifecycle.is_backlog_wanted());
  subject.lifecycle.want_backlog();
  CHECK(subject.lifecycle.is_backlog_wanted());
  subject.lifecycle.close_listener();
  CHECK_FALSE(subject.lifecycle.is_backlog_wanted());
  subject.lifecycle.want_backlog();
  CHECK_FALSE(subject.lifecycle.is_backlog_wanted());
}

TEST_CASE("lifecycle: a wait for the serving thread ends when that thread ends, or at the deadline") {
  Subject subject;
  CHECK(subject.lifecycle.wait_for_serving_thread(detail::now()));
  CHECK(subject.begin());
  CHECK_FALSE(subject.lifecycle.wait_for_serving_thread(detail::now() + std::chrono::milliseconds(1)));
  std::thread waiting([&] { CHECK(subject.lifecycle.wait_for_serving_thread(Lifecycle::time_point::max())); });
  subject.lifecycle.end_serving();
  waiting.join();
}

TEST_CASE("lifecycle: the first request to stop is the one whose time counts") {
  Subject subject;
  subject.lifecycle.request_stop();
  const auto first = subject.lifecycle.stopped_at();
  subject.lifecycle.request_stop();
  CHECK(subject.lifecycle.stopped_at() == first);
}

}  // namespace
