#include "transport/fiber/stacks.hpp"  // first, to test that it is self-contained

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/system/system_error.hpp>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "transport/fiber/sanitizers.hpp"

namespace {

using sockserv::fiber::best_guard;
using sockserv::fiber::Guard;
using sockserv::fiber::Stack;
using sockserv::fiber::Stacks;

constexpr std::size_t small = 20480;

/// Asks the kernel, which says no instead of ending the program.
bool can_be_read(const char* address) {
  std::array<int, 2> pipe{};
  REQUIRE(::pipe2(pipe.data(), O_CLOEXEC) == 0);
  const bool can = ::write(pipe[1], address, 1) == 1;
  CHECK((can || errno == EFAULT));
  ::close(pipe[0]);
  ::close(pipe[1]);
  return can;
}

std::size_t mappings() {
  std::ifstream file("/proc/self/maps");
  return static_cast<std::size_t>(
      std::count(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>(), '\n'));
}

[[maybe_unused]] std::size_t most_mappings() {
  std::size_t count = 0;
  std::ifstream("/proc/sys/vm/max_map_count") >> count;
  return count;
}

TEST_CASE("stacks of fibers: all of each can be used, and all of the guard below cannot") {
  for (const Guard guard : {Guard::install, Guard::protect}) {
    Stacks stacks(small, guard);
    std::vector<Stack> made;
    for (int i = 0; i < 100; ++i) made.push_back(stacks.make());
    for (const Stack& stack : made) {
      char* const bottom = stack.top - stack.size;
      CHECK(stack.size == small);
      std::fill(bottom, stack.top, 'x');
      CHECK_FALSE(can_be_read(bottom - 1));
      CHECK_FALSE(can_be_read(bottom - Stacks::guard_size / 2));
      CHECK_FALSE(can_be_read(bottom - Stacks::guard_size));
    }
    std::sort(made.begin(), made.end(), [](const Stack& left, const Stack& right) { return left.top < right.top; });
    for (std::size_t i = 1; i < made.size(); ++i) {
      CHECK(made[i].top - made[i].size - Stacks::guard_size >= made[i - 1].top);
    }
  }
}

TEST_CASE("stacks of fibers are an odd number of pages, however large they are to be") {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  CHECK(Stacks(5 * page).make().size == 5 * page);
  CHECK(Stacks(5 * page + 1).make().size == 7 * page);
  CHECK(Stacks(6 * page).make().size == 7 * page);
  CHECK(Stacks(7 * page - 1).make().size == 7 * page);
}

TEST_CASE("20,000 stacks of fibers with guards, which cost no mappings if the kernel can install them") {
  for (const Guard guard : {Guard::install, Guard::protect}) {
    const std::size_t before = mappings();
    Stacks stacks(small, guard);
    for (int i = 0; i < 20000; ++i) {
      const Stack stack = stacks.make();
      *(stack.top - 1) = *(stack.top - stack.size) = 'x';
    }
    const std::size_t added = mappings() - before;
    if (guard == Guard::install && best_guard() == Guard::install) {
      CHECK(added < 2000);
    } else {
      CHECK(added >= 39000);
    }
  }
}

/// What the attempt to make more stacks than possible says.
std::string complaint_of(Stacks& stacks, std::size_t attempts) {
  try {
    while (attempts-- > 0) stacks.make();
  } catch (const boost::system::system_error& error) {
    return error.what();
  }
  return "";
}

TEST_CASE("a fiber's stack that cannot be had says which limit is in the way, and others can be had after it") {
  // More than there is address space, and first, so that the next complaint finds the memory that it needs.
  Stacks impossible(std::size_t{1} << 45);
  const std::string no_space = complaint_of(impossible, 1);
  CHECK(no_space.find("mmap") != std::string::npos);
  CHECK(no_space.find("vm.overcommit_memory") != std::string::npos);

#if !defined(SOCKSERV_TSAN) && !defined(SOCKSERV_ASAN)  // which cannot go on when there are no more mappings
  std::string no_mapping;
  {
    Stacks many(small, Guard::protect);
    no_mapping = complaint_of(many, most_mappings());
  }
  CHECK(no_mapping.find("mprotect") != std::string::npos);
  CHECK(no_mapping.find("vm.max_map_count") != std::string::npos);
#endif
  CHECK(Stacks(small).make().size == small);
}

}  // namespace
