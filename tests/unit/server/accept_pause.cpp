#include "server/accept_pause.hpp"  // first, to test that it is self-contained

#include <doctest/doctest.h>

#include <cerrno>
#include <new>
#include <sockserv/error.hpp>
#include <stdexcept>

namespace {

using namespace sockserv;
using namespace std::chrono_literals;
using detail::AcceptPause;
using Verdict = AcceptPause::Verdict;

std::exception_ptr system_error(int value) {
  return std::make_exception_ptr(
      boost::system::system_error(error_code(value, boost::system::system_category()), "accept"));
}

TEST_CASE("each error has its verdict") {
  AcceptPause pause;
  for (const int value : {ECONNABORTED, EPROTO, ENETDOWN, ECONNREFUSED}) {
    CHECK(pause.failed(system_error(value)) == Verdict::go_on);
  }
  for (const int value : {EBADF, EINVAL, ENOTSOCK}) CHECK(pause.failed(system_error(value)) == Verdict::stop);
  CHECK(pause.failed(std::make_exception_ptr(std::runtime_error("refused"))) == Verdict::go_on);
  CHECK_FALSE(pause.end());
  for (const int value : {EMFILE, ENFILE, ENOBUFS, ENOMEM, EIO}) {
    CHECK(pause.failed(system_error(value)) == Verdict::pause);
  }
  CHECK(pause.failed(std::make_exception_ptr(std::bad_alloc())) == Verdict::pause);
}

TEST_CASE("pauses double from 10 ms to a second, and begin anew after a success") {
  AcceptPause pause;
  const auto next = [&] {
    const auto before = AcceptPause::clock::now();
    pause.failed(system_error(EMFILE));
    const auto end = pause.end();
    REQUIRE(end.has_value());
    return *end - before;
  };
  for (const auto least : {10ms, 20ms, 40ms, 80ms, 160ms, 320ms, 640ms, 1000ms, 1000ms}) CHECK(next() >= least);
  pause.succeeded();
  CHECK_FALSE(pause.end());
  CHECK(next() < 1s);
}

TEST_CASE("one line a second is worth logging, and none for a single connection") {
  AcceptPause pause;
  CHECK_FALSE(pause.worth_logging(system_error(ECONNABORTED)));
  CHECK(pause.worth_logging(system_error(EMFILE)));
  CHECK_FALSE(pause.worth_logging(system_error(EMFILE)));
}

}  // namespace
