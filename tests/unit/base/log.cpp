#include <sockserv/log.hpp>  // first, to test that it is self-contained

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <string>
#include <thread>

#include "support/support.hpp"

namespace {

using namespace sockserv;
using namespace support;
using sockserv::detail::Descriptor;

/// Both ends of something that lines can be written to.
struct Ends {
  Descriptor reader;
  Descriptor writer;

  /// Reads all that is there.
  std::string read() const {
    std::string text;
    std::array<char, 65536> space;
    while (detail::is_readable(reader.get())) {
      const ssize_t count = ::read(reader.get(), space.data(), space.size());
      if (count <= 0) break;
      text.append(space.data(), static_cast<std::size_t>(count));
    }
    return text;
  }
};

Ends ends_of_pipe() {
  std::array<int, 2> ends{};
  REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
  return {Descriptor(ends[0]), Descriptor(ends[1])};
}

Ends ends_of_fifo(const std::string& path) {
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  Descriptor reader(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  return {std::move(reader), Descriptor(::open(path.c_str(), O_WRONLY | O_CLOEXEC))};
}

Ends ends_of_terminal() {
  Descriptor reader(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  REQUIRE(::grantpt(reader.get()) == 0);
  REQUIRE(::unlockpt(reader.get()) == 0);
  Descriptor writer(::open(::ptsname(reader.get()), O_RDWR | O_NOCTTY | O_CLOEXEC));
  return {std::move(reader), std::move(writer)};
}

Ends ends_of_sockets(int type) {
  std::array<int, 2> ends{};
  REQUIRE(::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends.data()) == 0);
  return {Descriptor(ends[0]), Descriptor(ends[1])};
}

/// Writes until there is no room for a single byte.
void fill(const LineWriter& writer) {
  for (const std::size_t size : {1000U, 100U, 10U, 1U}) {
    const std::string line(size, 'x');
    while (writer.write({line})) continue;
  }
  writer.take_lost();
}

TEST_CASE("a line is written at once, all parts of it") {
  const TemporaryFolder folder;
  for (const Ends& ends :
       {ends_of_pipe(), ends_of_fifo(folder / "fifo"), ends_of_sockets(SOCK_STREAM), ends_of_sockets(SOCK_DGRAM)}) {
    const LineWriter writer(ends.writer.get());
    CHECK(writer.write({"one ", "two", "\n"}));
    CHECK(writer.write({"", "three\n"}));
    CHECK(ends.read() == "one two\nthree\n");
    CHECK(writer.take_lost() == 0);
  }
  const Ends ends = ends_of_terminal();
  CHECK(LineWriter(ends.writer.get()).write({"one ", "two", "\n"}));
  CHECK(ends.read() == "one two\r\n");
}

TEST_CASE("a line is appended to a file, without a limit") {
  const TemporaryFolder folder;
  const Descriptor file(::open((folder / "file").c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  const LineWriter writer(file.get());
  const std::string line = pattern(1 << 20) + '\n';
  CHECK(writer.write({"first\n"}));
  CHECK(writer.write({line}));
  std::string content(line.size() + 6, '\0');
  CHECK(::pread(file.get(), content.data(), content.size(), 0) == static_cast<ssize_t>(content.size()));
  CHECK(content == "first\n" + line);
}

TEST_CASE("what has no room is lost and counted, without waiting and without a change of flags") {
  const TemporaryFolder folder;
  for (const Ends& ends :
       {ends_of_pipe(), ends_of_fifo(folder / "fifo"), ends_of_terminal(), ends_of_sockets(SOCK_STREAM),
        ends_of_sockets(SOCK_DGRAM), ends_of_sockets(SOCK_SEQPACKET)}) {
    const int flags = ::fcntl(ends.writer.get(), F_GETFL);
    const LineWriter writer(ends.writer.get());
    fill(writer);
    CHECK_FALSE(writer.write({"lost\n"}));
    CHECK(writer.take_lost() == 1);
    CHECK(writer.take_lost() == 0);
    CHECK(::fcntl(ends.writer.get(), F_GETFL) == flags);
  }
}

TEST_CASE("a line that was written in part is ended before the next one") {
  const Ends ends = ends_of_pipe();
  const LineWriter writer(ends.writer.get());
  CHECK_FALSE(writer.write({std::string(1 << 20, 'x')}));
  CHECK_FALSE(writer.write({"no room\n"}));
  const std::string torn = ends.read();
  CHECK(torn == std::string(torn.size(), 'x'));
  CHECK(writer.write({"next\n"}));
  CHECK(ends.read() == "\nnext\n");
  CHECK(writer.take_lost() == 2);
}

TEST_CASE("a reader that has gone costs the line, and raises no signal") {
  const TemporaryFolder folder;
  const auto [status, said] = in_child([&] {
    ::signal(SIGPIPE, SIG_DFL);
    std::array<Ends, 3> all{ends_of_pipe(), ends_of_fifo(folder / "fifo"), ends_of_sockets(SOCK_STREAM)};
    for (Ends& ends : all) {
      ends.reader.reset();
      const LineWriter writer(ends.writer.get());
      if (writer.write({"to nobody\n"}) || writer.take_lost() != 1) ::_exit(1);
    }
    LineWriter(-1).write({"to nothing\n"});
    // A SIGPIPE of somebody else's write is not taken away.
    sigset_t sigpipe;
    sigemptyset(&sigpipe);
    sigaddset(&sigpipe, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &sigpipe, nullptr);
    ::raise(SIGPIPE);
    Ends ends = ends_of_pipe();
    ends.reader.reset();
    LineWriter(ends.writer.get()).write({"to nobody\n"});
    sigset_t pending;
    ::sigpending(&pending);
    ::_exit(sigismember(&pending, SIGPIPE) == 1 ? 0 : 2);
  });
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("with patience, a line waits for room") {
  const Ends ends = ends_of_pipe();
  const LineWriter writer(ends.writer.get());
  fill(writer);
  std::string text;
  std::thread reader([&] { text = ends.read(); });
  CHECK(writer.write({"patient\n"}, patience));
  reader.join();
  CHECK((text + ends.read()).ends_with("patient\n"));
}

TEST_CASE("patience that passes loses the line") {
  const Ends ends = ends_of_pipe();
  const LineWriter writer(ends.writer.get());
  fill(writer);
  CHECK_FALSE(writer.write({"patient\n"}, 1ms));
}

TEST_CASE("processes count lost lines together") {
  const Ends ends = ends_of_pipe();
  const LineWriter writer(ends.writer.get());
  fill(writer);
  in_child([&] {
    writer.write({"one\n"});
    writer.write({"two\n"});
  });
  CHECK(writer.take_lost() == 2);
}

TEST_CASE("the default log writes one line to standard error, and reports lines that were lost before it") {
  const Ends ends = ends_of_pipe();
  const auto [status, ignored] = in_child([&] {
    ::dup2(ends.writer.get(), STDERR_FILENO);
    log_to_stderr(LogLevel::warning, "something happened");
    if (ends.read() != "sockserv: something happened\n") ::_exit(1);
    fill(LineWriter(STDERR_FILENO));
    log_to_stderr(LogLevel::info, "lost");
    log_to_stderr(LogLevel::error, "lost\ntoo");
    ends.read();
    log_to_stderr(LogLevel::info, "here again");
    const bool reported =
        ends.read() ==
        "sockserv: here again\nsockserv: 2 line(s) of this log were lost, because standard error could "
        "not take them in time\n";
    log_to_stderr(LogLevel::info, "once");
    ::_exit(reported && ends.read() == "sockserv: once\n" ? 0 : 2);
  });
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

}  // namespace
