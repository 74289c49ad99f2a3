#include <sockserv/detail/live_requests.hpp>  // first, to test that it is self-contained

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <thread>
#include <utility>
#include <vector>

#include "support/support.hpp"

namespace {

using namespace sockserv::detail;
using std::chrono::steady_clock;

TEST_CASE("requests enter, move and leave in any order") {
  LiveRequests all;
  std::vector<LiveRequest> requests(5);
  for (LiveRequest& request : requests) request.enter(all, -1);
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
  LiveRequest stream;
  LiveRequest datagram;
  stream.enter(all, pair[0]);
  datagram.enter(all, -1);
  CHECK(all.shut_all_down() == 2);
  char byte = 0;
  CHECK(::recv(pair[1], &byte, 1, 0) == 0);
  stream.leave();
  datagram.leave();
  ::close(pair[0]);
  ::close(pair[1]);
}

TEST_CASE("threads enter and leave while another waits") {
  LiveRequests all;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 1000; ++j) {
        LiveRequest request;
        request.enter(all, -1);
        const LiveRequest moved = std::move(request);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(all.wait_until_none(steady_clock::now() + support::patience));
  CHECK(all.size() == 0);
}

TEST_CASE("an action is called when requests are cut off, or at once if they have been, and not after its time") {
  LiveRequests all;
  int first = 0;
  int second = 0;
  int third = 0;
  {
    const LiveRequests::CutOffAction over(all, [&] { ++first; });
  }
  const LiveRequests::CutOffAction waiting(all, [&] { ++second; });
  CHECK(second == 0);
  all.shut_all_down();
  CHECK(first == 0);
  CHECK(second == 1);
  const LiveRequests::CutOffAction late(all, [&] { ++third; });
  CHECK(second == 1);
  CHECK(third == 1);
}

}  // namespace
