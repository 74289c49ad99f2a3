#include <sockserv/options.hpp>  // first, to test that it is self-contained

#include <doctest/doctest.h>

#include <limits>
#include <stdexcept>
#include <string>

namespace {

using namespace sockserv;
using namespace std::chrono_literals;

TEST_CASE("a value that makes no sense is refused by the field's name") {
  CHECK_NOTHROW(detail::validate({}));
  CHECK_NOTHROW(detail::validate({.request_queue_size = 0}));
  CHECK_NOTHROW(detail::validate({.max_packet_size = 1}));
  CHECK_THROWS_WITH_AS(detail::validate({.request_queue_size = -1}), doctest::Contains("request_queue_size"),
                       std::invalid_argument);
  CHECK_NOTHROW(detail::validate({.request_queue_size = std::numeric_limits<int>::max()}));
  CHECK_NOTHROW(detail::validate({.max_packet_size = std::size_t{64} << 20}));
  for (const std::size_t size :
       {std::size_t{0}, (std::size_t{64} << 20) + 1, std::size_t{1} << 40, std::numeric_limits<std::size_t>::max()}) {
    CHECK_THROWS_WITH_AS(detail::validate({.max_packet_size = size}), doctest::Contains("max_packet_size"),
                         std::invalid_argument);
  }
  CHECK_NOTHROW(detail::validate({.idle_timeout = 1ns, .request_timeout = 1ns, .prepare_timeout = 1ns}));
  CHECK_NOTHROW(detail::validate({.prepare_timeout = std::nullopt}));
  CHECK_NOTHROW(detail::validate({.first_request_grace = 0s, .linger_timeout = 1ns, .linger_limit = 0}));
  CHECK_NOTHROW(detail::validate({.linger_timeout = std::nullopt}));
  CHECK_THROWS_WITH_AS(detail::validate({.linger_timeout = 0s}), doctest::Contains("linger_timeout"),
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(detail::validate({.first_request_grace = -1s}), doctest::Contains("first_request_grace"),
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(detail::validate({.prepare_timeout = 0s}), doctest::Contains("prepare_timeout"),
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(detail::validate({.idle_timeout = 0s}), doctest::Contains("idle_timeout"),
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(detail::validate({.idle_timeout = -1s}), doctest::Contains("idle_timeout"),
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(detail::validate({.request_timeout = 0s}), doctest::Contains("request_timeout"),
                       std::invalid_argument);
  using duration = std::chrono::steady_clock::duration;
  CHECK_NOTHROW(detail::validate({.idle_timeout = duration::max(), .request_timeout = duration::max()}));
  CHECK_THROWS_WITH_AS(detail::validate({.request_timeout = duration::min()}), doctest::Contains("request_timeout"),
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(detail::validate({.log = nullptr}), doctest::Contains("ServerOptions::log"),
                       std::invalid_argument);
}

TEST_CASE("the defaults are those that the documentation gives") {
  const ServerOptions options;
  CHECK(options.bind_and_activate);
  CHECK(options.allow_reuse_address);
  CHECK_FALSE(options.allow_reuse_port);
  CHECK_FALSE(options.dual_stack);
  CHECK(options.request_queue_size == SOMAXCONN);
  CHECK(options.max_packet_size == 65535);
  CHECK(options.max_connections == 0);
  CHECK(options.max_connections_per_address == 0);
  CHECK(options.idle_timeout == std::nullopt);
  CHECK(options.prepare_timeout == 10s);
  CHECK(options.first_request_grace == 1s);
  CHECK(options.linger_timeout == 30s);
  CHECK(options.linger_limit == 64 << 20);
  CHECK(options.request_timeout == std::nullopt);
  CHECK(options.min_receive_rate == 0);
}

}  // namespace
