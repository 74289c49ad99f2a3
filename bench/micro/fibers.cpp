/// What a fiber costs besides what its request does.

#include <benchmark/benchmark.h>

#include <boost/context/fiber.hpp>
#include <functional>
#include <memory>
#include <sockserv/address.hpp>
#include <sockserv/detail/fiber_loops.hpp>
#include <sockserv/detail/request_scope.hpp>
#include <sockserv/detail/scheduler.hpp>
#include <utility>
#include <vector>

namespace {

using sockserv::detail::FiberLoops;
using sockserv::detail::FiberTask;
using sockserv::detail::Scheduler;

/// A function as the task of a fiber, which gets what the fiber waits by.
class Task final : public FiberTask {
 public:
  explicit Task(std::function<void(Scheduler&)> function) : function_(std::move(function)) {}
  void use_transport(sockserv::detail::Transport&) noexcept override {}
  void run() override { function_(sockserv::detail::scheduler_of_caller()); }
  void failed(const std::exception_ptr& error) noexcept override { std::rethrow_exception(error); }
  const sockserv::Address& client_address() const noexcept override { return client_; }

 private:
  std::function<void(Scheduler&)> function_;
  sockserv::Address client_;
};

/// One loop, and the end of what it was given to do.
class OneLoop {
 public:
  OneLoop() { loops_.start({.loops = 1, .stack_size = 65536, .handler = "benchmark"}); }
  void submit(std::function<void(Scheduler&)> function) {
    std::unique_ptr<FiberTask> task = std::make_unique<Task>(std::move(function));
    loops_.submit(task);
  }
  ~OneLoop() {
    loops_.wait_until_none();
    loops_.stop();
  }

 private:
  FiberLoops loops_{{.accept = [] { return false; }, .may_accept = [] { return false; }, .wake = [] {}, .stalled = {}}};
};

/// A turn that one fiber gives to another.
struct Turn {
  bool given = false;
  Scheduler* scheduler = nullptr;

  void give() {
    given = true;
    scheduler->wake();
  }
  void take() {
    scheduler->wait_until_done(given, sockserv::detail::no_deadline, nullptr);
    given = false;
  }
};

/// A fiber gives so many others the turn, and gets it back from the last of them. So many fibers are ready in one round
/// of the loop, which looks for events after each round: with one other, each switch is a round.
void fiber_switch(benchmark::State& state) {
  OneLoop loop;
  Turn here;
  std::vector<Turn> others(static_cast<std::size_t>(state.range(0)));
  std::size_t left = 0;
  bool over = false;
  const auto give_to_all = [&] {
    left = others.size();
    for (Turn& other : others) other.give();
    here.take();
  };
  for (Turn& other : others) {
    loop.submit([&](Scheduler& scheduler) {
      for (other.scheduler = &scheduler; !over;) {
        other.take();
        if (--left == 0) here.give();
      }
    });
  }
  loop.submit([&](Scheduler& scheduler) {
    here.scheduler = &scheduler;
    while (state.KeepRunning()) give_to_all();
    over = true;
    give_to_all();
    state.SetItemsProcessed(state.iterations() * (state.range(0) + 1));
  });
}
BENCHMARK(fiber_switch)->ArgName("others")->Arg(1)->Arg(64)->UseRealTime();

/// The floor: Boost.Context alone, one way and back.
void context_switch(benchmark::State& state) {
  bool over = false;
  boost::context::fiber other([&](boost::context::fiber&& back) {
    while (!over) back = std::move(back).resume();
    return std::move(back);
  });
  while (state.KeepRunning()) other = std::move(other).resume();
  over = true;
  other = std::move(other).resume();
  state.SetItemsProcessed(2 * state.iterations());
}
BENCHMARK(context_switch);

/// A fiber that is started, does nothing, and ends; its stack has been used before.
void fiber_spawn_and_end(benchmark::State& state) {
  OneLoop loop;
  loop.submit([&](Scheduler& scheduler) {
    Turn here{.given = false, .scheduler = &scheduler};
    while (state.KeepRunning()) {
      loop.submit([&](Scheduler&) { here.give(); });
      here.take();
    }
    state.SetItemsProcessed(state.iterations());
  });
}
BENCHMARK(fiber_spawn_and_end)->UseRealTime();

}  // namespace
