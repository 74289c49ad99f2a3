/// What happens when a handler needs more stack than its fiber has: the program ends, and says why.

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <sockserv.hpp>

#include "support/support.hpp"

namespace {

using namespace sockserv;
using namespace support;

/// Uses that much of the stack and touches its far end. AddressSanitizer would take the memory from elsewhere.
template <std::size_t size>
[[gnu::noinline, gnu::no_sanitize_address]] int use_stack(int deeper) {
  volatile char frame[size];
  asm volatile("" : : "r"(&frame) : "memory");  // lest the compiler see that most of it is not needed
  frame[0] = 1;
  frame[1] = 0;
  if (deeper > 0) frame[1] = static_cast<char>(use_stack<size>(deeper - 1));
  return frame[0] + frame[1];
}

struct RecursesWithoutEnd : StreamRequestHandler {
  void handle() override { use_stack<200>(1 << 30); }
};

/// 40 KiB of 64 KiB are there; the next 40 KiB end well beyond the stack.
struct StepsFarBeyond : StreamRequestHandler {
  void handle() override { use_stack<std::size_t{40} << 10>(1); }
};

/// Fails where there is no stack near.
struct TouchesWhatItMayNot : StreamRequestHandler {
  void handle() override {
    auto* const nothing =
        static_cast<volatile char*>(::mmap(nullptr, 1, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    *nothing = 'x';
  }
};

template <class Handler>
std::string last_words() {
  const auto [status, text] = in_child([] {
    FiberTCPServer<Handler> server({"127.0.0.1", 0});
    server.loops = 2;
    server.stack_size = std::size_t{64} << 10;
    const ServerThread background(server);
    StreamClient client(server.server_address());
    client.read_all();
  });
  REQUIRE(WIFSIGNALED(status));
  CHECK((WTERMSIG(status) == SIGSEGV || WTERMSIG(status) == SIGBUS));
  return text;
}

bool has(const std::string& text, std::string_view part) { return text.find(part) != text.npos; }

TEST_CASE("a fiber's stack that overflows, little by little or by a large step, ends the program with a message") {
  const std::string recursion = last_words<RecursesWithoutEnd>();
  CHECK(has(recursion, "RecursesWithoutEnd"));
  CHECK(has(recursion, "stack_size"));
  CHECK(has(recursion, "65536 bytes"));
  const std::string step = last_words<StepsFarBeyond>();
  CHECK(has(step, "StepsFarBeyond"));
  CHECK(has(step, "stack_size"));
}

TEST_CASE("a handler on a fiber that fails otherwise is not said to have overflowed its stack") {
  CHECK_FALSE(has(last_words<TouchesWhatItMayNot>(), "stack"));
}

/// Who handles the signal, as a number that can be compared.
std::uintptr_t handler_of(int signal) {
  struct sigaction action{};
  REQUIRE(::sigaction(signal, nullptr, &action) == 0);
  return reinterpret_cast<std::uintptr_t>(action.sa_handler);
}

TEST_CASE("servers with fibers give the program its signal handlers back, whichever ends first") {
  const std::array<std::uintptr_t, 2> before{handler_of(SIGSEGV), handler_of(SIGBUS)};
  {
    auto first = std::make_unique<FiberTCPServer<RecursesWithoutEnd>>(Address("127.0.0.1", 0));
    auto first_thread = std::make_unique<ServerThread>(*first);
    FiberTCPServer<RecursesWithoutEnd> second({"127.0.0.1", 0});
    const ServerThread second_thread(second);
    CHECK(eventually([&] { return handler_of(SIGSEGV) != before[0] && handler_of(SIGBUS) != before[1]; }));
    first_thread.reset();
    first.reset();
    CHECK(eventually([&] { return handler_of(SIGSEGV) != before[0]; }));  // the second may only begin
  }
  CHECK(handler_of(SIGSEGV) == before[0]);
  CHECK(handler_of(SIGBUS) == before[1]);
}

}  // namespace
