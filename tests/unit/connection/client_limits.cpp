#include <sockserv/detail/client_limits.hpp>  // first, to test that it is self-contained

#include <doctest/doctest.h>

#include <sockserv/options.hpp>

namespace {

using namespace sockserv;
using namespace sockserv::detail;
using namespace std::chrono_literals;

constexpr ClientLimits::time_point accepted{1000s};
constexpr ClientLimits::time_point never = ClientLimits::time_point::max();

TEST_CASE("without a limit there is none, and a handler's own is just that") {
  CHECK_FALSE(ClientLimits());
  const ServerOptions options;
  ClientLimits limits(options, accepted);
  CHECK(limits);
  CHECK(limits.deadline(accepted, std::nullopt, 5).at == never);
  const auto own = limits.deadline(accepted + 1s, 2s, 0);
  CHECK(own.at == accepted + 3s);
  CHECK(own.meaning == errc::timed_out);
  CHECK(limits.deadline(accepted, ClientLimits::duration::max(), 0).at == never);
}

TEST_CASE("idle_timeout: since the wait began, or since the client last did something") {
  const ServerOptions options{.idle_timeout = 10s};
  ClientLimits limits(options, accepted);
  const auto first = limits.deadline(accepted + 5s, std::nullopt, 0);
  CHECK(first.at == accepted + 15s);
  CHECK(first.meaning == errc::idle_too_long);
  limits.has_taken(accepted + 7s);  // by another thread
  CHECK(limits.deadline(accepted + 5s, std::nullopt, 0).at == accepted + 17s);
  limits.has_sent(1, accepted + 8s);
  CHECK(limits.deadline(accepted + 5s, std::nullopt, 0).at == accepted + 18s);
  // A handler that was busy in between is no fault of the client's.
  CHECK(limits.deadline(accepted + 100s, std::nullopt, 0).at == accepted + 110s);
}

TEST_CASE("request_timeout: since the connection was accepted, whatever the client does") {
  const ServerOptions options{.request_timeout = 10s};
  ClientLimits limits(options, accepted);
  limits.has_sent(1, accepted + 9s);
  const auto deadline = limits.deadline(accepted + 9s, std::nullopt, 1);
  CHECK(deadline.at == accepted + 10s);
  CHECK(deadline.meaning == errc::request_too_long);
  CHECK(limits.passed(accepted + 9s) == std::nullopt);
  CHECK(limits.passed(accepted + 10s) == errc::request_too_long);
}

TEST_CASE("min_receive_rate: on average since an item's first byte, after a grace") {
  const ServerOptions options{.min_receive_rate = 100};
  ClientLimits limits(options, accepted);
  const auto grace = ClientLimits::rate_grace;
  CHECK(limits.deadline(accepted, std::nullopt, 0).at == never);  // between items

  limits.has_sent(50, accepted + 20s);
  const auto first = limits.deadline(accepted + 20s, std::nullopt, 50);
  CHECK(first.at == accepted + 20s + grace + 500ms);
  CHECK(first.meaning == errc::too_slow);
  limits.has_sent(150, accepted + 21s);
  CHECK(limits.deadline(accepted + 21s, std::nullopt, 200).at == accepted + 20s + grace + 2s);
  // Waiting anew for the same item, after a timeout of the handler's, begins nothing anew.
  CHECK(limits.deadline(accepted + 22s, std::nullopt, 200).at == accepted + 20s + grace + 2s);

  // The rest of it comes together with 10 bytes of the next item, which begins when it is waited for.
  limits.has_sent(60, accepted + 22s);
  CHECK(limits.deadline(accepted + 30s, std::nullopt, 10).at == accepted + 30s + grace + 100ms);
}

TEST_CASE("min_receive_rate: an item that comes in pieces has one beginning, and one grace") {
  const ServerOptions options{.min_receive_rate = 100};
  ClientLimits limits(options, accepted);
  const auto grace = ClientLimits::rate_grace;
  limits.has_sent(30, accepted);
  limits.begin_item(0);
  CHECK(limits.deadline(accepted, std::nullopt, 0).at == never);  // of this item nothing has come yet
  limits.has_sent(10, accepted + 20s);
  CHECK(limits.deadline(accepted + 20s, std::nullopt, 0).at == accepted + 20s + grace + 100ms);
  limits.has_sent(10, accepted + 21s);
  CHECK(limits.deadline(accepted + 21s, std::nullopt, 3).at == accepted + 20s + grace + 200ms);
  CHECK(limits.deadline(accepted + 21s, std::nullopt, std::nullopt).at == never);  // for a send
  limits.end_item();
  CHECK(limits.deadline(accepted + 22s, std::nullopt, 0).at == never);

  limits.has_sent(10, accepted + 30s);
  limits.begin_item(4);  // of which 4 bytes lay behind the item before
  CHECK(limits.deadline(accepted + 30s, std::nullopt, 0).at == accepted + 30s + grace + 40ms);
  limits.leave_out(3);
  CHECK(limits.deadline(accepted + 31s, std::nullopt, 0).at == accepted + 30s + grace + 10ms);
  limits.begin_item(0);
  limits.has_sent(10, accepted + 40s);
  limits.leave_out(10);  // so far there is only what does not count
  CHECK(limits.deadline(accepted + 40s, std::nullopt, 0).at == accepted + 40s + grace);
}

TEST_CASE("a rate that only a huge number of bytes can have is no overflow") {
  const ServerOptions options{.min_receive_rate = 1};
  ClientLimits limits(options, accepted);
  const std::size_t bytes = std::size_t{1} << 60;
  limits.has_sent(bytes, accepted);
  CHECK(limits.deadline(accepted, std::nullopt, bytes).at == never);
}

TEST_CASE("the earliest deadline counts, and says what it means") {
  const ServerOptions options{.idle_timeout = 10s, .request_timeout = 30s, .min_receive_rate = 1000};
  ClientLimits limits(options, accepted);
  limits.has_sent(1000, accepted);
  const auto meaning = [&](ClientLimits::duration begun, std::optional<ClientLimits::duration> own, std::size_t item) {
    return limits.deadline(accepted + begun, own, item).meaning;
  };
  CHECK(meaning(1s, std::nullopt, 0) == errc::idle_too_long);
  CHECK(meaning(1s, 5s, 0) == errc::timed_out);
  CHECK(meaning(1s, 5s, 1000) == errc::too_slow);
  CHECK(meaning(25s, std::nullopt, 0) == errc::request_too_long);
}

TEST_CASE("the first limit that is passed is noted, and stays") {
  const ServerOptions options{.request_timeout = 10s};
  ClientLimits limits(options, accepted);
  CHECK(limits.note_passed(errc::too_slow));
  CHECK_FALSE(limits.note_passed(errc::idle_too_long));
  CHECK(limits.passed(accepted) == errc::too_slow);
  CHECK(limits.passed(accepted + 10s) == errc::too_slow);
}

TEST_CASE("prepare_timeout: from the first wait of a preparation to its end, and not beyond") {
  const ServerOptions options{.prepare_timeout = 10s};
  ClientLimits limits;
  limits.begin_preparation(options);
  CHECK(limits);
  CHECK(limits.passed(never - 1ns) == std::nullopt);  // nothing has waited yet
  const auto first = limits.deadline(accepted + 50s, std::nullopt, 0);
  CHECK(first.at == accepted + 60s);
  CHECK(first.meaning == errc::prepare_too_long);
  limits.has_sent(1, accepted + 55s);
  CHECK(limits.deadline(accepted + 55s, std::nullopt, 0).at == accepted + 60s);
  CHECK(limits.deadline(accepted + 55s, 1s, 0).meaning == errc::timed_out);
  CHECK(limits.passed(accepted + 60s) == errc::prepare_too_long);
  limits.end_preparation();
  CHECK_FALSE(limits);
}

TEST_CASE("prepare_timeout: beside other limits, the first one counts, and the others stay") {
  const ServerOptions options{.idle_timeout = 5s, .request_timeout = 20s, .prepare_timeout = 10s};
  ClientLimits limits(options, accepted);
  limits.begin_preparation(options);
  CHECK(limits.deadline(accepted, std::nullopt, 0).meaning == errc::idle_too_long);
  limits.has_sent(1, accepted + 9s);
  CHECK(limits.deadline(accepted + 9s, std::nullopt, 0).meaning == errc::prepare_too_long);
  limits.end_preparation();
  CHECK(limits);
  CHECK(limits.deadline(accepted + 18s, std::nullopt, 0).at == accepted + 20s);
  CHECK(limits.passed(accepted + 15s) == std::nullopt);
}

}  // namespace
