#include <sockserv/detail/live_requests.hpp>  // first, to test that it is self-contained

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <thread>
#include <utility>
#include <vector>

#include "support/support.hpp"

namespace {

using namespace sockserv::detail;
using std::chrono::steady_clock;

TEST_CASE("requests enter, move and leave in any order") {
  LiveRequests all;
  Counters counters;
  std::vector<LiveRequest> requests(5);
  for (LiveRequest& request : requests) request.enter(all, counters, -1);
  CHECK(all.size() == 5);
  LiveRequest moved = std::move(requests[2]);
  CHECK(all.size() == 5);
  requests[0].leave();
  requests[0].leave();
  moved = std::move(requests[4]);  // what `moved` stood for leaves
  CHECK(all.size() == 3);
  requests.clear();
  CHECK(all.size() == 1);
  CHECK_FALSE(all.wait_until_none(steady_clock::now()));
  moved.leave();
  CHECK(all.wait_until_none(steady_clock::now()));
}

TEST_CASE("shutting all down ends the sockets, and counts what has none") {
  std::array<int, 2> pair{};
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) == 0);
  LiveRequests all;
  Counters counters;
  LiveRequest stream;
  LiveRequest datagram;
  stream.enter(all, counters, pair[0]);
  datagram.enter(all, counters, -1);
  CHECK(all.shut_all_down() == 2);
  char byte = 0;
  CHECK(::recv(pair[1], &byte, 1, 0) == 0);
  stream.leave();
  datagram.leave();
  ::close(pair[0]);
  ::close(pair[1]);
}

TEST_CASE("whoever was told that there is no room hears when there is") {
  int calls = 0;
  LiveRequests all([&] { ++calls; });
  Counters counters;
  LiveRequest first;
  LiveRequest second;
  first.enter(all, counters, -1);
  second.enter(all, counters, -1);
  CHECK(all.has_room(3));
  first.leave();
  CHECK(calls == 0);  // nobody asked for it
  CHECK_FALSE(all.has_room(1));
  second.leave();
  CHECK(calls == 1);
  CHECK(all.has_room(1));
}

TEST_CASE("bytes count while a request lives, where it is moved, and after its end") {
  LiveRequests all;
  Counters counters;
  const auto in_and_out = [&] {
    const LiveRequests::Bytes bytes = all.bytes(counters);
    return std::pair(bytes.in, bytes.out);
  };
  LiveRequest request;
  request.enter(all, counters, -1);
  request.received(10);
  request.sent(1);
  LiveRequest moved = std::move(request);
  moved.received(10);
  CHECK(in_and_out() == std::pair<std::uint64_t, std::uint64_t>(20, 1));
  CHECK(counters.bytes_in == 0);
  moved.received(LiveRequest::fold_size);
  CHECK(counters.bytes_in == 20 + LiveRequest::fold_size);  // for those who cannot see the request
  CHECK(in_and_out() == std::pair<std::uint64_t, std::uint64_t>(20 + LiveRequest::fold_size, 1));
  moved.leave();
  CHECK(in_and_out() == std::pair<std::uint64_t, std::uint64_t>(20 + LiveRequest::fold_size, 1));
  moved.received(5);  // nobody's any more
  CHECK(in_and_out() == std::pair<std::uint64_t, std::uint64_t>(20 + LiveRequest::fold_size, 1));
}

TEST_CASE("adding up all bytes while requests come, count and go never goes back") {
  LiveRequests all;
  Counters counters;
  constexpr int threads = 3;
  constexpr int requests = 200;
  constexpr std::size_t step = LiveRequest::fold_size / 2 + 1;
  std::vector<std::thread> working;
  for (int i = 0; i < threads; ++i) {
    working.emplace_back([&] {
      for (int j = 0; j < requests; ++j) {
        LiveRequest request;
        request.enter(all, counters, -1);
        for (int k = 0; k < 5; ++k) request.sent(step);
      }
    });
  }
  constexpr std::uint64_t total = std::uint64_t{threads} * requests * 5 * step;
  std::uint64_t last = 0;
  CHECK(support::eventually([&] {
    const std::uint64_t now = all.bytes(counters).out;
    const bool never_back = now >= last;
    CHECK(never_back);
    last = now;
    return now == total;
  }));
  for (std::thread& thread : working) thread.join();
}

TEST_CASE("the number of requests can be kept where others see it") {
  std::atomic<std::size_t> seen = 0;
  LiveRequests all;
  all.count_in(seen);
  Counters counters;
  LiveRequest request;
  request.enter(all, counters, -1);
  CHECK(seen == 1);
  CHECK(all.size() == 1);
  request.leave();
  CHECK(seen == 0);
}

TEST_CASE("a child that does not use them closes their descriptors") {
  const int descriptor = ::dup(STDIN_FILENO);
  LiveRequests all;
  Counters counters;
  LiveRequest request;
  request.enter(all, counters, descriptor);
  all.close_in_child();
  CHECK(::fcntl(descriptor, F_GETFD) == -1);
}

TEST_CASE("threads enter and leave while another waits") {
  LiveRequests all;
  Counters counters;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 1000; ++j) {
        LiveRequest request;
        request.enter(all, counters, -1);
        const LiveRequest moved = std::move(request);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(all.wait_until_none(steady_clock::now() + support::patience));
  CHECK(all.size() == 0);
}

TEST_CASE("an action is called when requests are aborted, or at once if they have been, and not after its time") {
  LiveRequests all;
  int first = 0;
  int second = 0;
  int third = 0;
  {
    const LiveRequests::AbortAction over(all, [&] { ++first; });
  }
  const LiveRequests::AbortAction waiting(all, [&] { ++second; });
  CHECK(second == 0);
  all.shut_all_down();
  CHECK(first == 0);
  CHECK(second == 1);
  const LiveRequests::AbortAction late(all, [&] { ++third; });
  CHECK(second == 1);
  CHECK(third == 1);
}

}  // namespace
