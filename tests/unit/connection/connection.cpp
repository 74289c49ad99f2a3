#include <sockserv/connection.hpp>  // first, to test that it is self-contained

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/asio/error.hpp>
#include <string>
#include <thread>
#include <vector>

#include "support/support.hpp"

namespace {

using namespace sockserv;
using namespace std::chrono_literals;
using boost::asio::buffer;

std::array<Connection, 2> connected_pair() {
  std::array<int, 2> pair{};
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) == 0);
  return {Connection(detail::Descriptor(pair[0]), {}), Connection(detail::Descriptor(pair[1]), {})};
}

TEST_CASE("bytes go to and fro") {
  auto [here, there] = connected_pair();
  CHECK(here.sendall("hello") == 5);
  CHECK(there.recv(3) == "hel");
  CHECK(there.recv(100) == "lo");
  CHECK(here.send(buffer("abc", 3)) == 3);
  std::array<char, 3> exactly{};
  CHECK(there.recv_exactly(buffer(exactly)) == 3);
  CHECK(std::string_view(exactly.data(), 3) == "abc");
}

TEST_CASE("the end of the stream: recv gives nothing, recv_exactly and read_some report it") {
  auto [here, there] = connected_pair();
  here.sendall("ab");
  here.shutdown(SHUT_WR);
  std::array<char, 3> space{};
  error_code error;
  CHECK(there.recv_exactly(buffer(space), error) == 2);
  CHECK(error == errc::end_of_stream);
  CHECK(there.recv(10).empty());
  CHECK_THROWS_AS(there.recv_exactly(buffer(space)), peer_gone_error);
  CHECK(there.read_some(buffer(space), error) == 0);
  CHECK(error == boost::asio::error::eof);
  there.sendall("still goes the other way");
  CHECK(here.recv(100) == "still goes the other way");
}

TEST_CASE("sendall gathers any number of buffers, in order, empty ones included") {
  auto [here, there] = connected_pair();
  std::vector<std::string> pieces;
  std::string expected;
  for (int i = 0; i < 50; ++i) {
    pieces.push_back(i % 7 == 0 ? ""
                                : std::string(static_cast<std::size_t>(i) * 1000, static_cast<char>('a' + i % 26)));
    expected += pieces.back();
  }
  std::vector<boost::asio::const_buffer> sequence;
  for (const std::string& piece : pieces) sequence.push_back(buffer(piece));
  std::string received;
  std::thread reader([&, &peer = there] {
    while (received.size() < expected.size()) received += peer.recv(10007);
  });
  CHECK(here.sendall(sequence) == expected.size());
  reader.join();
  CHECK(received == expected);
}

TEST_CASE("sending nothing is no error, whatever the error was before") {
  auto [here, there] = connected_pair();
  error_code error = boost::asio::error::eof;
  CHECK(here.sendall(std::vector<boost::asio::const_buffer>(), error) == 0);
  CHECK_FALSE(error);
}

TEST_CASE("read_some scatters, write_some gathers") {
  auto [here, there] = connected_pair();
  const std::array<boost::asio::const_buffer, 2> out{buffer("ab", 2), buffer("cd", 2)};
  CHECK(here.write_some(out) == 4);
  std::array<char, 1> first{};
  std::array<char, 10> second{};
  const std::array<boost::asio::mutable_buffer, 2> in{buffer(first), buffer(second)};
  CHECK(there.read_some(in) == 4);
  CHECK(first[0] == 'a');
  CHECK(std::string_view(second.data(), 3) == "bcd");
  error_code error = boost::asio::error::eof;
  CHECK(there.read_some(buffer(first, 0), error) == 0);
  CHECK_FALSE(error);
}

TEST_CASE("a timeout throws timeout_error, and can be taken away") {
  auto [here, there] = connected_pair();
  CHECK(here.gettimeout() == std::nullopt);
  here.settimeout(5ms);
  CHECK(here.gettimeout() == 5ms);
  CHECK_THROWS_AS(here.recv(1), timeout_error);
  error_code error;
  std::array<char, 1> byte{};
  here.recv(buffer(byte), error);
  CHECK(error == errc::timed_out);
  CHECK_THROWS_AS(here.sendall(std::string(1 << 22, 'x')), timeout_error);
  here.settimeout(std::nullopt);
  there.sendall("x");
  CHECK(here.recv(1) == "x");
  CHECK_THROWS_AS(here.settimeout(0ms), std::invalid_argument);
  CHECK_THROWS_AS(here.settimeout(-1ms), std::invalid_argument);
  here.settimeout(1ns);  // not "no limit", although the system counts in microseconds
  CHECK_THROWS_AS(here.recv(1), timeout_error);
}

TEST_CASE("a timeout of receives is none of sends, and the other way round") {
  auto [here, there] = connected_pair();
  here.settimeout(5ms, SHUT_RD);
  CHECK(here.gettimeout() == 5ms);
  CHECK(here.gettimeout(SHUT_WR) == std::nullopt);
  CHECK_THROWS_AS(here.recv(1), timeout_error);
  here.settimeout(std::nullopt, SHUT_RD);
  here.settimeout(6ms, SHUT_WR);
  CHECK(here.gettimeout() == std::nullopt);
  CHECK(here.gettimeout(SHUT_WR) == 6ms);
  CHECK_THROWS_AS(here.sendall(std::string(1 << 22, 'x')), timeout_error);
  here.settimeout(7ms);
  CHECK(here.gettimeout(SHUT_RD) == 7ms);
  CHECK(here.gettimeout(SHUT_WR) == 7ms);
}

TEST_CASE("a peer that has gone is a peer_gone_error, and no signal") {
  auto [here, there] = connected_pair();
  there.close();
  CHECK_THROWS_AS(here.sendall("x"), peer_gone_error);
  error_code error;
  here.sendall("x", error);
  CHECK(is_peer_gone(error));
}

TEST_CASE("after close, operations report a bad descriptor") {
  auto [here, there] = connected_pair();
  here.close();
  here.close();
  CHECK(here.fileno() == -1);
  error_code error;
  here.sendall("x", error);
  CHECK(error == boost::asio::error::bad_descriptor);
  CHECK_THROWS_AS(here.recv(1), boost::system::system_error);
  CHECK_THROWS_AS(here.shutdown(SHUT_WR), boost::system::system_error);
  CHECK_THROWS_AS(here.getsockname(), boost::system::system_error);
}

TEST_CASE("a request can be moved, and closes once") {
  auto [here, there] = connected_pair();
  const int descriptor = here.fileno();
  Connection moved = std::move(here);
  CHECK(moved.fileno() == descriptor);
  moved.sendall("from the new place");
  CHECK(there.recv(100) == "from the new place");
  auto [another, its_peer] = connected_pair();
  moved = std::move(another);
  CHECK(there.recv(1).empty());  // what it was has been closed
  moved.sendall("x");
  CHECK(its_peer.recv(1) == "x");
}

TEST_CASE("peer_credentials tells who is there, on a Unix socket") {
  auto [here, there] = connected_pair();
  const PeerCredentials who = here.peer_credentials();
  CHECK(who.process == ::getpid());
  CHECK(who.user == ::geteuid());
  CHECK(who.group == ::getegid());

  Connection tcp(detail::Descriptor(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), Address("127.0.0.1", 1));
  error_code error;
  tcp.peer_credentials(error);
  CHECK(error == boost::asio::error::operation_not_supported);
  CHECK_THROWS_AS(tcp.peer_credentials(), boost::system::system_error);
  CHECK_NOTHROW(tcp.set_no_delay(true));
  CHECK(tcp.getpeername() == Address("127.0.0.1", 1));
}

TEST_CASE("interrupted by signals, waiting goes on") {
  auto [here, there] = connected_pair();
  struct sigaction count{};
  static std::atomic<int> signals;
  count.sa_handler = [](int) { ++signals; };
  struct sigaction before{};
  REQUIRE(::sigaction(SIGUSR1, &count, &before) == 0);
  std::atomic<bool> done = false;
  std::string received;
  std::thread reader([&, &from = here] {
    received = from.recv(10);
    done = true;
  });
  CHECK(support::eventually([&] {
    if (!done) ::pthread_kill(reader.native_handle(), SIGUSR1);
    return signals >= 20;
  }));
  CHECK_FALSE(done);
  there.sendall("at last");
  reader.join();
  CHECK(received == "at last");
  ::sigaction(SIGUSR1, &before, nullptr);
}

}  // namespace
