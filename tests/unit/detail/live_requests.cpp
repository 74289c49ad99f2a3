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

TEST_CASE("the number of requests can be kept where others see it") {
  std::atomic<std::size_t> seen = 0;
  LiveRequests all;
  all.count_in(seen);
  LiveRequest request;
  request.enter(all, -1);
  CHECK(seen == 1);
  CHECK(all.size() == 1);
  request.leave();
  CHECK(seen == 0);
}

TEST_CASE("forgetting all closes their descriptors and leaves none") {
  const int descriptor = ::dup(STDIN_FILENO);
  LiveRequests all;
  auto* const parents = new LiveRequest;  // as in a forked child, where nobody will destroy it
  parents->enter(all, descriptor);
  all.forget();
  CHECK(all.size() == 0);
  CHECK(::fcntl(descriptor, F_GETFD) == -1);
  ::operator delete(parents);
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

}  // namespace
