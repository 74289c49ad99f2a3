#include "runner/child_processes.hpp"  // first, to test that it is self-contained

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sockserv/detail/shared_memory.hpp>

#include "support/support.hpp"

namespace {

using namespace sockserv::detail;
using namespace support;

struct Children {
  SharedMemory<ChildProcesses::ExitFlags> flags{1};
  ChildProcesses processes{flags.values().front()};

  /// Starts a child that exits at once if told so, and otherwise waits to be killed.
  pid_t start(bool exits) {
    const pid_t child = processes.add([](ClosedTogether&) { return ::fork(); });
    if (child != 0) return child;
    if (exits) processes.exit_from_child(0);
    for (;;) ::pause();
  }
};

/// Waits until the child has exited, and leaves it to be reaped.
void wait_for_exit(pid_t child) {
  siginfo_t end{};
  REQUIRE(::waitid(P_PID, static_cast<id_t>(child), &end, WEXITED | WNOWAIT) == 0);
}

TEST_CASE("a child that announced its exit is reaped without having been watched") {
  Children children;
  const std::size_t descriptors = open_descriptors().size();
  const pid_t child = children.start(true);
  CHECK(open_descriptors().size() == descriptors);
  wait_for_exit(child);
  CHECK(!is_readable(children.processes.descriptor()));
  children.processes.collect_known();
  CHECK(children.processes.size() == 0);
}

TEST_CASE("a child that was killed is reaped once it is watched, or is asked for") {
  Children children;
  const pid_t first = children.start(false);
  ::kill(first, SIGKILL);
  wait_for_exit(first);
  children.processes.collect_known();
  CHECK(children.processes.size() == 1);
  children.processes.watch_all();
  CHECK(is_readable(children.processes.descriptor()));
  children.processes.collect_known();
  CHECK(children.processes.size() == 0);
  CHECK(!is_readable(children.processes.descriptor()));

  const pid_t second = children.start(false);
  ::kill(second, SIGKILL);
  wait_for_exit(second);
  children.processes.collect();
  CHECK(children.processes.size() == 0);
}

TEST_CASE("children of which nobody has heard yet get signals and are waited for") {
  Children children;
  children.start(false);
  children.start(true);
  CHECK(children.processes.signal_all(SIGKILL) == 2);
  CHECK(children.processes.wait_until_none(std::chrono::steady_clock::time_point::max()));
}

TEST_CASE("there may be more children than exit flags, and flags are used again") {
  Children children;
  for (int round = 0; round < 2; ++round) {
    for (std::size_t i = 0; i < ChildProcesses::ExitFlags().size() + 3; ++i) wait_for_exit(children.start(true));
    children.processes.collect_known();
    CHECK(children.processes.size() == 0);
  }
}

}  // namespace
