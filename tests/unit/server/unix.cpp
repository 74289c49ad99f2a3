#include <sockserv/server/unix.hpp>  // first, to test that it is self-contained

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sockserv.hpp>

#include "support/serving.hpp"
#include "support/support.hpp"

namespace {

using namespace sockserv;
using namespace support;
namespace fs = std::filesystem;

TEST_CASE("the path is removed when the server closes") {
  const TemporaryFolder folder;
  {
    UnixStreamServer<Greets> server(folder / "socket");
    CHECK(fs::is_socket(folder / "socket"));
    server.server_close();
    CHECK_FALSE(fs::exists(folder / "socket"));
    UnixDatagramServer<EchoPacket> datagrams(folder / "socket");
    CHECK(fs::is_socket(folder / "socket"));
  }
  CHECK_FALSE(fs::exists(folder / "socket"));
}

TEST_CASE("a path that is another file by now is left alone") {
  const TemporaryFolder folder;
  const std::string path = folder / "socket";
  UnixStreamServer<Greets> first(path);
  fs::rename(path, folder / "elsewhere");
  UnixStreamServer<Greets> second(path);
  first.server_close();
  CHECK(fs::is_socket(path));
  StreamClient client(second.server_address());
  second.handle_request();
  CHECK(client.read_all() == "hello\n");
  second.server_close();
  CHECK_FALSE(fs::exists(path));
}

/// What a server that was killed leaves.
void leave_stale_socket(const std::string& path, int type) {
  const Address address(path);
  const detail::Descriptor socket(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  REQUIRE(::bind(socket.get(), address.data(), address.size()) == 0);
}

TEST_CASE("a path that nobody serves any more is taken over, one in use, or another kind of file, is not") {
  const TemporaryFolder folder;
  const std::string path = folder / "socket";
  leave_stale_socket(path, SOCK_STREAM);
  CHECK_THROWS_AS(UnixStreamServer<Greets>(path, {.allow_reuse_address = false}), boost::system::system_error);
  const UnixStreamServer<Greets> server(path);
  CHECK_THROWS_AS(UnixStreamServer<Greets>{path}, boost::system::system_error);
  CHECK(fs::is_socket(path));

  leave_stale_socket(folder / "datagrams", SOCK_DGRAM);
  const UnixDatagramServer<EchoPacket> datagrams(folder / "datagrams");
  CHECK_THROWS_AS(UnixDatagramServer<EchoPacket>{folder / "datagrams"}, boost::system::system_error);

  std::ofstream(folder / "file") << "precious";
  CHECK_THROWS_AS(UnixStreamServer<Greets>{folder / "file"}, boost::system::system_error);
  CHECK(fs::file_size(folder / "file") == 8);
}

TEST_CASE("a socket in use by a server whose backlog is full is not taken over") {
  const TemporaryFolder folder;
  const std::string path = folder / "socket";
  const UnixStreamServer<Greets> server(path, {.request_queue_size = 0});
  const StreamClient fills_the_backlog(server.server_address());
  CHECK_THROWS_AS(UnixStreamServer<Greets>{path}, boost::system::system_error);
}

TEST_CASE("an abstract name leaves no file") {
  const std::string name = std::string(1, '\0') + "sockserv-test-" + std::to_string(::getpid());
  UnixStreamServer<Greets> server(name);
  CHECK(server.server_address().to_string() == "@" + name.substr(1));
  StreamClient client(server.server_address());
  server.handle_request();
  CHECK(client.read_all() == "hello\n");
}

TEST_CASE("a datagram without a sender's address cannot be answered, and that is said clearly") {
  const TemporaryFolder folder;
  std::string said;
  UnixDatagramServer<EchoPacket> server(folder / "socket",
                                        {.log = [&](LogLevel, std::string_view message) { said = message; }});
  DatagramClient nobody(server.server_address(), DatagramClient::Reply::impossible);
  nobody.send("x");
  server.handle_request();
  CHECK(said.find("(unnamed)") != std::string::npos);
  CHECK(said.find("no address to reply to") != std::string::npos);
  DatagramClient client(server.server_address());
  client.send("y");
  server.handle_request();
  CHECK(client.receive() == "y");
}

TEST_CASE("peer_credentials in a handler") {
  struct Who : StreamRequestHandler {
    void handle() override { wfile.write(std::to_string(request.peer_credentials().process)); }
  };
  const TemporaryFolder folder;
  UnixStreamServer<Who> server(folder / "socket");
  StreamClient client(server.server_address());
  server.handle_request();
  CHECK(client.read_all() == std::to_string(::getpid()));
}

TEST_CASE("a forked child does not remove the path") {
  const TemporaryFolder folder;
  ForkingUnixStreamServer<Greets> server(folder / "socket");
  {
    StreamClient client(server.server_address());
    server.handle_request();
    CHECK(client.read_all() == "hello\n");
  }
  server.collect_children(true);
  CHECK(fs::is_socket(folder / "socket"));
}

}  // namespace
