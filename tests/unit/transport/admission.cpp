#include <sockserv/detail/admission.hpp>  // first, to test that it is self-contained

#include <doctest/doctest.h>

#include <sockserv/address.hpp>

namespace {

using namespace sockserv;
using namespace sockserv::detail;

TEST_CASE("connections are counted by address, whatever the port, and IPv4 is the same inside IPv6") {
  ConnectionsByAddress all;
  auto* const first = all.enter({"192.0.2.1", 1}, 2);
  REQUIRE(first);
  auto* const second = all.enter({"::ffff:192.0.2.1", 2}, 2);
  REQUIRE(second);
  CHECK(all.enter({"192.0.2.1", 3}, 2) == nullptr);
  CHECK(all.enter({"192.0.2.2", 1}, 2));
  CHECK(all.enter({"2001:db8::1", 1}, 1));
  CHECK(all.enter({"2001:db8::1", 2}, 1) == nullptr);
  CHECK(all.enter({"2001:db8::2", 1}, 1));
  CHECK(all.size() == 4);
  all.leave(*first);
  CHECK(all.size() == 4);
  all.leave(*second);
  CHECK(all.size() == 3);  // an address without connections takes no memory
}

TEST_CASE("an admission ends once, wherever it has been moved to, and counts") {
  Counters counters;
  ConnectionsByAddress all;
  auto* const entry = all.enter({"192.0.2.1", 1}, 1);
  REQUIRE(entry);
  {
    Admission first(counters, all, *entry);
    Admission second(std::move(first));
    Admission third;
    third = std::move(second);
    CHECK(counters.completed == 0);
    CHECK(all.size() == 1);
  }
  CHECK(counters.completed == 1);
  CHECK(all.size() == 0);
  Admission ended(counters);
  ended.end();
  ended.end();
  CHECK(counters.completed == 2);
  ended = Admission(counters);
  ended = Admission();  // what it stood for ends
  CHECK(counters.completed == 3);
}

TEST_CASE("an admission that is withdrawn does not count as completed") {
  Counters counters;
  ConnectionsByAddress all;
  auto* const entry = all.enter({"192.0.2.1", 1}, 1);
  REQUIRE(entry);
  Admission admission(counters, all, *entry);
  admission.withdraw();
  CHECK(all.size() == 0);
  admission.end();
  CHECK(counters.completed == 0);
}

}  // namespace
