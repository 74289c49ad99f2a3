#include "base/closed_together.hpp"  // first, to test that it is self-contained

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <vector>

#include "support/support.hpp"

namespace {

using namespace sockserv::detail;
using namespace support;

std::vector<int> open_some(int count) {
  std::vector<int> descriptors;
  for (int i = 0; i < count; ++i) descriptors.push_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  return descriptors;
}

bool is_open(int descriptor) { return ::fcntl(descriptor, F_GETFD) >= 0; }

TEST_CASE("ClosedTogether closes what was added, in whichever order, and nothing else") {
  const std::vector<int> all = open_some(8);
  const std::vector<std::size_t> added = {3, 2, 6, 4, 0};
  ClosedTogether closed;
  closed.add(-1);
  for (const std::size_t index : added) {
    closed.add(all[index]);
    CHECK(is_open(all[index]));
  }
  closed.close();
  for (const std::size_t index : added) CHECK(!is_open(all[index]));
  for (const std::size_t index : std::vector<std::size_t>{1, 5, 7}) {
    CHECK(is_open(all[index]));
    ::close(all[index]);
  }
}

TEST_CASE("ClosedTogether closes any number of descriptors without neighbours") {
  const std::size_t before = open_descriptors().size();
  const std::vector<int> all = open_some(100);
  {
    ClosedTogether closed;
    for (std::size_t index = 0; index < all.size(); index += 2) closed.add(all[index]);
  }
  for (std::size_t index = 0; index < all.size(); ++index) CHECK(is_open(all[index]) == (index % 2 == 1));
  for (std::size_t index = 1; index < all.size(); index += 2) ::close(all[index]);
  CHECK(open_descriptors().size() == before);
}

}  // namespace
