/// What a fiber costs besides what its request does.

#include <benchmark/benchmark.h>

#include <boost/context/fiber.hpp>
#include <functional>
#include <memory>
#include <sockserv/address.hpp>
#include <sockserv/detail/request_scope.hpp>
#include <sockserv/detail/runners.hpp>
#include <sockserv/detail/scheduler.hpp>
#include <utility>
#include <vector>

namespace {

using sockserv::detail::Scheduler;

/// A function as the task of a fiber, which gets what the fiber waits by.
class FunctionTask final : public sockserv::detail::Task {
 public:
  explicit FunctionTask(std::function<void(Scheduler&)> function) : function_(std::move(function)) {}
  bool run() override {
    function_(sockserv::detail::scheduler_of_caller());
    return true;
  }
  void fail(const std::exception_ptr& error) noexcept override { std::rethrow_exception(error); }

 private:
  std::function<void(Scheduler&)> function_;
};

/// One loop, and the end of what it was given to do.
class OneLoop {
 public:
  void submit(std::function<void(Scheduler&)> function) {
    std::unique_ptr<sockserv::detail::Task> task = std::make_unique<FunctionTask>(std::move(function));
    loop_->run(task);
  }

 private:
  std::unique_ptr<sockserv::detail::Runner> loop_ = sockserv::detail::make_fibers(
      [] { return sockserv::detail::FibersSettings{.loops = 1, .stack_size = 65536}; }, [] {}, {});
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
