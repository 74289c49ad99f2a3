/// What it costs to know a request and its client.

#include <benchmark/benchmark.h>

#include <sockserv/address.hpp>
#include <sockserv/detail/counters.hpp>
#include <sockserv/detail/live_requests.hpp>
#include <string>
#include <vector>

namespace {

using sockserv::detail::LiveRequest;

/// A request enters the registry and leaves it, while so many others are in it.
void registry_enter_and_leave(benchmark::State& state) {
  sockserv::detail::LiveRequests all;
  sockserv::detail::Counters counters;
  std::vector<LiveRequest> others(static_cast<std::size_t>(state.range(0)));
  for (LiveRequest& other : others) other.enter(all, counters, -1);
  while (state.KeepRunning()) {
    LiveRequest request;
    request.enter(all, counters, -1);
    request.leave();
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(registry_enter_and_leave)->ArgName("others")->Arg(0)->Arg(10'000);

/// Two threads that do so at a time.
void registry_contended(benchmark::State& state) {
  static sockserv::detail::LiveRequests all;
  static sockserv::detail::Counters counters;
  while (state.KeepRunning()) {
    LiveRequest request;
    request.enter(all, counters, -1);
    request.leave();
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(registry_contended)->Threads(2)->UseRealTime();

void address_parse(benchmark::State& state, const std::string& host) {
  while (state.KeepRunning()) {
    const sockserv::Address address(host, 9000);
    benchmark::DoNotOptimize(&address);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK_CAPTURE(address_parse, IPv4, std::string("127.0.0.1"));
BENCHMARK_CAPTURE(address_parse, IPv6, std::string("2001:db8::8a2e:370:7334"));

void address_to_string(benchmark::State& state) {
  const sockserv::Address address("127.0.0.1", 9000);
  while (state.KeepRunning()) {
    const std::string text = address.to_string();
    benchmark::DoNotOptimize(text.data());
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(address_to_string);

}  // namespace
