/// What a client notices of a thousand others that have connected, must prove that they know a key, and say nothing.

#include <doctest/doctest.h>

#include <chrono>
#include <cstddef>
#include <sockserv.hpp>
#include <sockserv/layer/hmac_auth.hpp>
#include <string>
#include <vector>

#include "base/sanitized.hpp"
#include "support/serving.hpp"
#include "support/support.hpp"

namespace {

using namespace sockserv;
using namespace support;
using namespace std::chrono_literals;
using std::chrono::steady_clock;

#if defined(SOCKSERV_ASAN) || defined(SOCKSERV_TSAN)
constexpr std::size_t silent_ones = 200;
#else
constexpr std::size_t silent_ones = 1000;
#endif

// Their time is not over before the test is, so the client would wait as long if they held it up. How long it did wait
// is printed, and not judged.
TEST_CASE_TEMPLATE("a thousand clients that never answer the challenge hold up nobody", Server, TCPServer<Echo>,
                   ThreadingTCPServer<Echo>, ThreadPoolTCPServer<Echo>, ForkingTCPServer<Echo>,
                   PreForkingTCPServer<Echo>, PreForkingMixIn<ThreadPoolTCPServer<Echo>>, FiberTCPServer<Echo>) {
  const ManyDescriptors descriptors;
  if (!descriptors.enough_for(2 * silent_ones)) return skip("this user may not open 2,100 descriptors (ulimit -n)");
  const Authentication authentication{.key = "key", .time_limit = 1h};
  HmacAuthMixIn<Server> server(loopback(), quiet({.prepare_timeout = std::nullopt}));
  server.authentication = authentication;
  const ServerThread background(server);
  std::vector<StreamClient> crowd;
  for (std::size_t i = 0; i < silent_ones; ++i) crowd.emplace_back(server.server_address());
  const auto begun = steady_clock::now();
  ClientConnection client = create_connection(server.server_address(), patience);
  authenticate(client.connection, authentication, AuthenticationRole::client);
  client.wfile.write("hello\n");
  CHECK(client.rfile.readline() == "hello\n");
  const auto taken = std::chrono::duration_cast<std::chrono::milliseconds>(steady_clock::now() - begun);
  MESSAGE("served after ", taken.count(), " ms beside ", silent_ones, " silent clients");
  client.close();
  for (StreamClient& each : crowd) each.close();
}

}  // namespace
