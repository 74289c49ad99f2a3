#include <sockserv/detail/descriptor.hpp>  // first, to test that it is self-contained

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <sockserv.hpp>

#include "support/serving.hpp"
#include "support/support.hpp"

namespace {

using namespace sockserv;
using namespace support;

std::string target(int descriptor) {
  return std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(descriptor));
}

void close_standard_descriptors() {
  for (int number = 0; number <= 2; ++number) ::close(number);
}

/// Runs it in a process of its own; true if it returns true there.
bool holds_in_child(const std::function<bool()>& body) {
  const auto [status, said] = in_child([&] { ::_exit(body() ? 0 : 1); });
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool are_filled() { return target(0) == "/dev/null" && target(1) == "/dev/null" && target(2) == "/dev/null"; }

TEST_CASE("a server fills the standard descriptors that the program was started without") {
  CHECK(holds_in_child([] {
    close_standard_descriptors();
    const TCPServer<Echo> server(loopback());
    return are_filled() && server.fileno() > 2;
  }));
}

TEST_CASE("what is opened later keeps away from standard descriptors that the program has closed") {
  CHECK(holds_in_child([] {
    TCPServer<Greets> server(loopback());
    ServerThread background(server);
    close_standard_descriptors();
    StreamClient client(server.server_address());  // may get such a number, being no part of the library
    if (client.read_all() != "hello\n") return false;
    client.close();
    const detail::Descriptor opened(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
    return opened.get() > 2 && (::fcntl(opened.get(), F_GETFD) & FD_CLOEXEC) != 0;
  }));
}

TEST_CASE("a descriptor that cannot move away from the standard ones is an error, and closed") {
  CHECK(holds_in_child([] {
    ::close(0);
    const rlimit none{3, 3};
    ::setrlimit(RLIMIT_NOFILE, &none);
    const detail::Descriptor opened(::open("/dev/null", O_RDONLY));
    return !opened && errno == EINVAL && ::fcntl(0, F_GETFD) == -1;
  }));
}

TEST_CASE("a socket that is adopted keeps its number") {
  CHECK(holds_in_child([] {
    const TCPServer<Echo> original(loopback());
    ::dup2(original.fileno(), 0);
    const TCPServer<Echo> adopted(AdoptedSocket{0});
    return adopted.fileno() == 0;
  }));
}

}  // namespace
