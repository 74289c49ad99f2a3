/// The main function of every test program: runs the cases and then makes sure that they left nothing behind.

#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdio>
#include <iostream>
#include <sockserv/detail/contexts.hpp>
#include <thread>

#include "support.hpp"

// NOLINTNEXTLINE(bugprone-exception-escape): what is thrown here fails the tests
int main(int argc, char** argv) {
  std::thread([] {}).join();  // with the first thread, a sanitizer may start one of its own
  const std::vector<int> descriptors = support::open_descriptors();
  const std::size_t threads = support::thread_count();

  std::cout << std::unitbuf;  // what a test has found is to be seen, also if it hangs and is ended
  const int result = doctest::Context(argc, argv).run();
  if (result != 0) return result;

  if (support::has_children()) {
    std::fputs("left behind: a child process\n", stderr);
    return 1;
  }
  sockserv::detail::close_idle_contexts();
  if (support::open_descriptors() != descriptors) {
    std::fputs("left behind: open descriptors:", stderr);
    for (const int descriptor : support::open_descriptors()) std::fprintf(stderr, " %d", descriptor);
    std::fputs("\n", stderr);
    return 1;
  }
  // A thread that has been joined, or has said that it is done, may still be on its way out of the kernel's list.
  if (!support::eventually([&] { return support::thread_count() <= threads; })) {
    std::fputs("left behind: a thread\n", stderr);
    return 1;
  }
  return 0;
}
