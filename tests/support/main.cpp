/// The main function of every test program: runs the cases and then makes sure that they left nothing behind.

#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <array>
#include <cstddef>
#include <cstdio>
#include <iostream>
#include <sockserv/detail/contexts.hpp>
#include <thread>

#include "support.hpp"

/// Declared in <sanitizer/common_interface_defs.h>; there in programs that are built with a sanitizer.
// NOLINTNEXTLINE(bugprone-reserved-identifier)
extern "C" __attribute__((weak)) void __sanitizer_symbolize_pc(const void* pc, const char* format, char* text,
                                                               std::size_t size);

namespace {

/// Has a sanitizer start what it starts with the first thread and with the first report, even one that is suppressed: a
/// thread, and a process that looks up names. So they are not taken for something that a test left behind.
void start_sanitizer() {
  std::thread([] {}).join();
  std::array<char, 64> name{};
  if (__sanitizer_symbolize_pc) {
    __sanitizer_symbolize_pc(reinterpret_cast<const void*>(&std::fputs), "%f", name.data(), name.size());
  }
}

}  // namespace

// NOLINTNEXTLINE(bugprone-exception-escape): what is thrown here fails the tests
int main(int argc, char** argv) {
  start_sanitizer();
  const std::vector<int> descriptors = support::open_descriptors();
  const std::size_t threads = support::thread_count();

  std::cout << std::unitbuf;  // what a test has found is to be seen, also if it hangs and is ended
  const int result = doctest::Context(argc, argv).run();
  if (result != 0) return result;

  if (const std::vector<std::string> children = support::children(); !children.empty()) {
    std::fputs("left behind: child processes:", stderr);
    for (const std::string& child : children) std::fprintf(stderr, " %s", child.c_str());
    std::fputs("\n", stderr);
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
