#include <sockserv/server/unix.hpp>  // first, to test that it is self-contained

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <sockserv.hpp>
#include <thread>

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

TEST_CASE("a path is in use from the bind on, before its server listens") {
  const TemporaryFolder folder;
  const std::string path = folder / "socket";
  UnixStreamServer<Greets> server(path, {.bind_and_activate = false});
  server.server_bind();
  CHECK_THROWS_WITH_AS(UnixStreamServer<Greets>{path}, doctest::Contains("in use"), boost::system::system_error);
  CHECK_THROWS_AS(UnixDatagramServer<EchoPacket>{path}, boost::system::system_error);
  UnixStreamServer<Greets> beside(folder / "another", {.bind_and_activate = false});
  beside.server_bind();  // a server that does not listen yet is in the way of no other path
  beside.server_activate();

  server.server_activate();
  StreamClient client{Address(path)};
  server.handle_request();
  CHECK(client.read_all() == "hello\n");
}

TEST_CASE("a server of streams is not taken over by one of datagrams, nor the other way round") {
  const TemporaryFolder folder;
  const UnixStreamServer<Greets> streams(folder / "streams");
  CHECK_THROWS_AS(UnixDatagramServer<EchoPacket>{folder / "streams"}, boost::system::system_error);
  const UnixDatagramServer<EchoPacket> datagrams(folder / "datagrams");
  CHECK_THROWS_AS(UnixStreamServer<Greets>{folder / "datagrams"}, boost::system::system_error);
}

TEST_CASE("a start on a path that is in use does not show as a connection there") {
  const TemporaryFolder folder;
  UnixStreamServer<Greets> server(folder / "socket");
  CHECK_THROWS_AS(UnixStreamServer<Greets>{folder / "socket"}, boost::system::system_error);
  CHECK_FALSE(detail::is_readable(server.fileno()));
}

/// Serves one client in a child process once `begin` is set; then waits to be killed.
template <class Server>
pid_t start_in_child(const std::string& path, const std::atomic<bool>& begin, std::atomic<int>& started,
                     std::atomic<int>& failed) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  ::signal(SIGTERM, SIG_DFL);
  while (!begin) continue;
  try {
    Server server(path);
    ++started;
    server.handle_request();
    for (;;) ::pause();
  } catch (const boost::system::system_error&) {
    ++failed;
  }
  for (;;) ::pause();
}

TEST_CASE_TEMPLATE(
    "of three servers that start at once on a path that a killed one left, one starts and can be reached", Server,
    UnixStreamServer<Greets>, UnixDatagramServer<EchoPacket>) {
  struct Results {
    std::atomic<bool> begin = false;
    std::atomic<int> started = 0;
    std::atomic<int> failed = 0;
  };
  const TemporaryFolder folder;
  const std::string path = folder / "socket";
  leave_stale_socket(path, SOCK_STREAM);
  for (int round = 0; round < 20; ++round) {
    const Shared<Results> results;
    std::array<pid_t, 3> children{};
    for (pid_t& child : children) {
      child = start_in_child<Server>(path, results->begin, results->started, results->failed);
    }
    results->begin = true;
    CHECK(eventually([&] { return results->started + results->failed == 3; }));
    CHECK(results->started == 1);
    if constexpr (std::is_same_v<Server, UnixStreamServer<Greets>>) {
      CHECK(StreamClient(Address(path)).read_all() == "hello\n");
    } else {
      DatagramClient client{Address(path)};
      client.send("x");
      CHECK(client.receive() == "x");
    }
    for (const pid_t child : children) {
      ::kill(child, SIGKILL);
      ::waitpid(child, nullptr, 0);
    }
  }
}

/// Locks a folder as a server does that takes over a path in it.
detail::Descriptor lock_of(const std::string& folder) {
  detail::Descriptor descriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  REQUIRE(::flock(descriptor.get(), LOCK_EX) == 0);
  return descriptor;
}

TEST_CASE("a server that finds a path stale looks again once it is alone in the folder") {
  const TemporaryFolder folder;
  const std::string path = folder / "socket";
  leave_stale_socket(path, SOCK_STREAM);
  detail::Descriptor lock = lock_of(folder / "");
  std::atomic<bool> started = false;
  std::thread second([&] {
    try {
      const UnixStreamServer<Greets> server(path);
      started = true;
    } catch (const boost::system::system_error&) {
    }
  });
  std::this_thread::sleep_for(100ms);  // long enough that one which does not wait has its path
  const UnixStreamServer<Greets> first(folder / "first");
  fs::remove(path);
  fs::rename(folder / "first", path);
  lock.reset();
  second.join();
  CHECK_FALSE(started);
  CHECK(fs::is_socket(path));
}

TEST_CASE("a process that keeps the lock of a folder delays a start by five seconds, and does not prevent it") {
  const TemporaryFolder folder;
  const std::string path = folder / "socket";
  leave_stale_socket(path, SOCK_STREAM);
  const detail::Descriptor lock = lock_of(folder / "");
  CHECK_NOTHROW(UnixStreamServer<Greets>{path});
  CHECK_NOTHROW(UnixStreamServer<Greets>{folder / "fresh"});  // which needs no lock
}

/// Runs `body` as a user who owns nothing, in a child whose working directory is this folder. Returns what `body`
/// returns; nothing if this process cannot change its user.
std::optional<std::string> as_nobody(const std::string& folder, const std::function<std::string()>& body) {
  constexpr uid_t nobody = 65534;
  if (::geteuid() != 0) return std::nullopt;
  const auto [status, said] = in_child([&] {
    if (::chdir(folder.c_str()) != 0 || ::setresuid(nobody, nobody, nobody) != 0) ::_exit(1);
    const std::string answer = body();
    ::_exit(::write(STDERR_FILENO, answer.data(), answer.size()) < 0 ? 1 : 0);
  });
  CHECK(status == 0);
  return said;
}

/// What the constructor says about the relative path "socket".
std::string failure_to_start() {
  try {
    const UnixStreamServer<Greets> server("socket");
    return "none";
  } catch (const std::exception& error) {
    return error.what();
  }
}

TEST_CASE("a stale path that cannot be taken over is an error that says why") {
  const TemporaryFolder folder;
  leave_stale_socket(folder / "socket", SOCK_STREAM);
  fs::permissions(folder / "socket", fs::perms::all);
  SUBCASE("it is somebody else's, in a folder that lets everybody remove only what is his own") {
    REQUIRE(::chmod((folder / "").c_str(), 01777) == 0);
    if (const auto failure = as_nobody(folder / "", failure_to_start)) {
      CHECK(failure->find("cannot be removed") != std::string::npos);
    }
  }
  SUBCASE("its folder cannot be written to") {
    REQUIRE(::chmod((folder / "").c_str(), 0555) == 0);
    if (const auto failure = as_nobody(folder / "", failure_to_start)) {
      CHECK(failure->find("cannot be removed") != std::string::npos);
    }
  }
  CHECK(fs::is_socket(folder / "socket"));
}

TEST_CASE("a stale path in a folder that can be written to and not be read is taken over") {
  const TemporaryFolder folder;
  leave_stale_socket(folder / "socket", SOCK_STREAM);
  fs::permissions(folder / "socket", fs::perms::all);
  REQUIRE(::chmod((folder / "").c_str(), 0333) == 0);
  if (const auto failure = as_nobody(folder / "", failure_to_start)) CHECK(*failure == "none");
}

TEST_CASE("a relative path is taken over, and removed wherever the program is by then") {
  const TemporaryFolder folder;
  leave_stale_socket(folder / "socket", SOCK_STREAM);
  const fs::path before = fs::current_path();
  fs::current_path(folder / "");
  {
    const UnixStreamServer<Greets> server("socket");
    fs::current_path(before);
    CHECK(fs::is_socket(folder / "socket"));
  }
  CHECK_FALSE(fs::exists(folder / "socket"));
}

TEST_CASE("a socket in use by a server whose backlog is full is not taken over") {
  const TemporaryFolder folder;
  const std::string path = folder / "socket";
  const UnixStreamServer<Greets> server(path, {.request_queue_size = 0});
  const StreamClient fills_the_backlog(server.server_address());
  CHECK_THROWS_AS(UnixStreamServer<Greets>{path}, boost::system::system_error);
}

TEST_CASE("an abstract name leaves no file") {
  const std::string written = "@sockserv-test-" + std::to_string(::getpid());
  std::string name = written;
  name.front() = '\0';
  UnixStreamServer<Greets> server(name);
  CHECK(server.server_address().to_string() == written);
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
