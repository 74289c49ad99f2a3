/// Connection::sendfile, under every mixin.

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/error.hpp>
#include <fstream>
#include <sockserv/testing.hpp>
#include <thread>

#include "integration/acting.hpp"
#include "support/both_ends.hpp"
#include "support/support.hpp"

namespace {

using namespace acting;
using namespace support;
using boost::asio::buffer;
using sockserv::detail::Descriptor;

/// More than a connection's buffers take, however far they grow.
constexpr std::size_t more_than_fits = std::size_t{16} << 20;

/// A file of so many bytes.
struct SomeFile {
  explicit SomeFile(std::size_t size) : content(pattern(size)) {
    std::ofstream(path, std::ios::binary) << content;
    descriptor = Descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    REQUIRE(descriptor);
  }
  int get() const { return descriptor.get(); }

  TemporaryFolder folder;
  std::string path = folder / "file";
  std::string content;
  Descriptor descriptor;
};

TEST_CASE_TEMPLATE("sendfile: a file arrives as it is, and so does what is sent before and after", Server,
                   SERVERS_OF_ACTORS) {
  const SomeFile file(more_than_fits);
  const std::string all = told_by<Server>([&](StreamRequestHandler& handler) {
    handler.wfile.write("before ");
    CHECK(handler.request.sendfile(file.get()) == more_than_fits);
    handler.wfile.write(" after");
    CHECK((::fcntl(handler.request.fileno(), F_GETFL) & O_NONBLOCK) == 0);
  });
  CHECK(all == "before " + file.content + " after");
}

TEST_CASE_TEMPLATE("sendfile: a client that takes nothing is a timeout, and what was sent is known", Server,
                   SERVERS_OF_ACTORS) {
  const SomeFile file(more_than_fits);
  const Shared<std::atomic<std::size_t>> sent;
  Acting<Server> server([&](StreamRequestHandler& handler) {
    handler.request.settimeout(20ms);
    error_code error;
    std::size_t count = handler.request.sendfile(file.get(), 0, {}, error);
    CHECK(error == errc::timed_out);
    CHECK(count < more_than_fits);
    handler.request.settimeout(patience);
    *sent = count;
    count += handler.request.sendfile(file.get(), count);
    CHECK(count == more_than_fits);
  });
  const ServerThread background(server);
  StreamClient client(server.server_address());
  CHECK(eventually([&] { return *sent > 0; }));
  CHECK(client.read_all() == file.content);
}

TEST_CASE_TEMPLATE("sendfile: a client that resets the connection has gone", Server, SERVERS_OF_ACTORS) {
  const SomeFile file(more_than_fits);
  const Shared<std::atomic<bool>> gone;
  Acting<Server> server(
      [&](StreamRequestHandler& handler) {
        error_code error;
        while (!error) handler.request.sendfile(file.get(), 0, {}, error);
        *gone = is_peer_gone(error);
      },
      quiet());
  const ServerThread background(server);
  StreamClient client(server.server_address());
  char byte = 0;
  CHECK(::recv(client.fileno(), &byte, 1, 0) == 1);
  client.reset();
  CHECK(eventually([&] { return gone->load(); }));
}

TEST_CASE_TEMPLATE("sendfile: limits of the server's hold", Server, SERVERS_OF_ACTORS) {
  const SomeFile file(more_than_fits);
  const Shared<std::atomic<bool>> aborted;
  Acting<Server> server(
      [&](StreamRequestHandler& handler) {
        error_code error;
        handler.request.sendfile(file.get(), 0, {}, error);
        *aborted = error == errc::idle_too_long;
      },
      quiet({.idle_timeout = 20ms}));
  const ServerThread background(server);
  const StreamClient client(server.server_address());
  CHECK(eventually([&] { return aborted->load(); }));
}

TEST_CASE("sendfile: part of a file, no further than its end") {
  const SomeFile file(1000);
  BothEnds both;
  CHECK(both.request.sendfile(file.get(), 10, 20) == 20);
  CHECK(both.peer.recv(100) == file.content.substr(10, 20));
  CHECK(both.request.sendfile(file.get(), 990) == 10);
  CHECK(both.request.sendfile(file.get(), 995, 20) == 5);
  CHECK(both.request.sendfile(file.get(), 1000) == 0);
  CHECK(both.request.sendfile(file.get(), 5000, 1) == 0);
  CHECK(both.request.sendfile(file.get(), 0, 0) == 0);
  CHECK(both.peer.recv(100) == file.content.substr(990) + file.content.substr(995));
  CHECK(::lseek(file.get(), 0, SEEK_CUR) == 0);
}

TEST_CASE("sendfile: what cannot be read says so") {
  const SomeFile file(10);
  BothEnds both;
  error_code error;
  CHECK(both.request.sendfile(-1, 0, {}, error) == 0);
  CHECK(error == boost::asio::error::bad_descriptor);
  CHECK(both.request.sendfile(both.peer.fileno(), 0, {}, error) == 0);
  CHECK(error == boost::system::errc::invalid_seek);  // no file at all
  CHECK_THROWS_AS(both.request.sendfile(file.get(), std::uint64_t{1} << 63), boost::system::system_error);
  both.request.close();
  CHECK_THROWS_AS(both.request.sendfile(file.get()), boost::system::system_error);
}

TEST_CASE("sendfile: a peer that has gone raises no SIGPIPE") {
  const SomeFile file(10);
  static volatile sig_atomic_t signals = 0;
  struct sigaction count{};
  count.sa_handler = [](int) { signals = signals + 1; };
  struct sigaction before{};
  REQUIRE(::sigaction(SIGPIPE, &count, &before) == 0);
  {
    BothEnds both;
    both.peer.close();
    CHECK_THROWS_AS(both.request.sendfile(file.get()), peer_gone_error);
  }
  ::sigaction(SIGPIPE, &before, nullptr);
  CHECK(signals == 0);
}

TEST_CASE("sendfile: on a fiber, another thread receives undisturbed") {
  const SomeFile file(more_than_fits);
  std::string heard;
  OneLoop server([&](StreamRequestHandler& handler) {
    std::thread receiver([&] { heard = handler.request.recv(100); });
    for (int i = 0; i < 20; ++i) handler.request.sendfile(file.get());
    this_request::offload([&] { receiver.join(); });
  });
  {
    const ServerThread background(server);
    StreamClient client(server.server_address());
    std::string buffer(1 << 20, '\0');
    for (std::size_t left = 20 * more_than_fits; left > 0;) {
      const ssize_t count = ::recv(client.fileno(), buffer.data(), std::min(left, buffer.size()), 0);
      REQUIRE(count > 0);
      left -= static_cast<std::size_t>(count);
    }
    client.send("at last");
    CHECK(client.read_all().empty());
  }
  CHECK(heard == "at last");
}

TEST_CASE("sendfile: without a socket, a handler's test sees the file's bytes") {
  const SomeFile file(200'000);
  Acting<TCPServer<Actor>> server(
      [&](StreamRequestHandler& handler) { CHECK(handler.request.sendfile(file.get(), 1) == 199'999); });
  CHECK(testing::converse(server, "") == file.content.substr(1));
}

}  // namespace
