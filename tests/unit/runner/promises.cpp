/// What every runner promises, without a server or a socket.

#include <sockserv/detail/runners.hpp>  // first, to test that it is self-contained

#include <doctest/doctest.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <sockserv/detail/clock.hpp>
#include <sockserv/detail/request_scope.hpp>
#include <sockserv/detail/scheduler.hpp>
#include <sockserv/log.hpp>
#include <string>
#include <type_traits>

#include "server/inline_runner.hpp"
#include "server/worker_role.hpp"
#include "support/support.hpp"

namespace {

using namespace sockserv::detail;
using namespace std::chrono_literals;
using namespace support;

/// What tasks have done, in whichever process they ran.
struct Done {
  std::atomic<int> runs = 0;
  std::atomic<int> finished = 0;
  std::atomic<bool> may_finish = true;
};

/// Counts itself, and then waits until it may finish, as handlers wait under each runner.
class CountedTask final : public Task {
 public:
  explicit CountedTask(Done& done) : done_(done) {}
  bool run() override {
    ++done_.runs;
    while (!done_.may_finish) scheduler_of_caller().sleep_until(now() + 1ms, nullptr);
    ++done_.finished;
    return true;
  }

 private:
  Done& done_;
};

struct InlineRunner {
  static std::unique_ptr<Runner> make(const std::function<void()>&) { return std::make_unique<Inline>(); }
};
struct ThreadsRunner {
  static std::unique_ptr<Runner> make(const std::function<void()>& wake) {
    return make_threads([] { return ThreadsSettings{.max_threads = 2}; }, wake);
  }
};
struct PoolRunner {
  static std::unique_ptr<Runner> make(const std::function<void()>& wake) {
    return make_pool([] { return PoolSettings{.threads = 1, .queue = 1}; }, wake);
  }
};
struct FibersRunner {
  static std::unique_ptr<Runner> make(const std::function<void()>& wake) {
    return make_fibers([] { return FibersSettings{.loops = 2, .stack_size = 262144}; }, wake, {});
  }
};
struct ForksRunner {
  static std::unique_ptr<Runner> make(const std::function<void()>&) {
    return make_forks({.max_children = [] { return std::size_t{2}; },
                       .fork =
                           [](ClosedTogether&) {
                             const pid_t child = ::fork();
                             if (child == 0) ::signal(SIGTERM, SIG_DFL);  // as a server's fork does
                             return child;
                           },
                       .notify = [](boost::asio::execution_context::fork_event) {},
                       .end_idle = [](sockserv::detail::EndIdle) {},
                       .count_in = [](Counters&) {}});
  }
};

/// The parent of workers, whose own tasks the inner runner runs.
struct WorkersRunner {
  static std::unique_ptr<Runner> make(const std::function<void()>& wake) {
    return make_workers({.settings = [] { return WorkersSettings(); },
                         .fork = [] { return ::fork(); },
                         .notify = [](boost::asio::execution_context::fork_event) {},
                         .serve = [](const WorkerRole&) {},
                         .started = [] {},
                         .log = [](sockserv::LogLevel, const std::function<std::string()>&) {}},
                        ThreadsRunner::make(wake));
  }
};

#define RUNNERS InlineRunner, ThreadsRunner, PoolRunner, FibersRunner, ForksRunner, WorkersRunner
#define RUNNERS_WITH_LIMIT ThreadsRunner, PoolRunner, ForksRunner, WorkersRunner

/// Gives the runner a task. Returns false if the task is still the caller's, which a child process may run all the
/// same.
bool submit(Runner& runner, Done& done) {
  std::unique_ptr<Task> task = std::make_unique<CountedTask>(done);
  runner.run(task);
  return task == nullptr;
}

/// The number of tasks that run, in this process and in others.
std::size_t running(Runner& runner) {
  sockserv::detail::Processes* const processes = runner.processes();
  return processes ? processes->requests(runner.running()) : runner.running();
}

/// Waits until no task runs, in this process and in others.
bool wait_until_idle(Runner& runner, time_point deadline) {
  sockserv::detail::Processes* const processes = runner.processes();
  return runner.wait_until_idle(deadline) && (!processes || processes->wait_until_none(deadline));
}

TEST_CASE_TEMPLATE("runner: each task runs once, and the runner is idle when all have finished", Kind, RUNNERS) {
  const Shared<Done> done;
  const std::unique_ptr<Runner> runner = Kind::make([] {});
  CHECK(wait_until_idle(*runner, no_deadline));
  for (int i = 0; i < 20; ++i) CHECK(submit(*runner, *done) == !std::is_same_v<Kind, ForksRunner>);
  CHECK(wait_until_idle(*runner, no_deadline));
  CHECK(running(*runner) == 0);
  CHECK(done->runs == 20);
  CHECK(done->finished == 20);
}

TEST_CASE_TEMPLATE("runner: what runs is counted, and waiting for it ends at the deadline", Kind, ThreadsRunner,
                   PoolRunner, FibersRunner, ForksRunner, WorkersRunner) {
  const Shared<Done> done;
  const std::unique_ptr<Runner> runner = Kind::make([] {});
  done->may_finish = false;
  submit(*runner, *done);
  CHECK(eventually([&] { return done->runs == 1; }));
  CHECK(running(*runner) == 1);
  CHECK(!wait_until_idle(*runner, now() + 5ms));
  done->may_finish = true;
  CHECK(wait_until_idle(*runner, no_deadline));
  CHECK(running(*runner) == 0);
}

TEST_CASE_TEMPLATE("runner: at its limit it has no room, and wakes the server when it has", Kind, RUNNERS_WITH_LIMIT) {
  const Shared<Done> done;
  std::atomic<int> wakes = 0;
  const std::unique_ptr<Runner> runner = Kind::make([&] { ++wakes; });
  CHECK(runner->has_room());
  done->may_finish = false;
  submit(*runner, *done);
  submit(*runner, *done);
  CHECK(!runner->has_room());
  done->may_finish = true;
  CHECK(wait_until_idle(*runner, no_deadline));
  CHECK(runner->has_room());
  // A server learns of a child's exit by the descriptor that it watches.
  if (!std::is_same_v<Kind, ForksRunner>) CHECK(wakes > 0);
}

TEST_CASE("runner: a pool that rejects leaves a task to the caller when it has no room") {
  const Shared<Done> done;
  const std::unique_ptr<Runner> pool =
      make_pool([] { return PoolSettings{.threads = 1, .queue = 0, .rejects = true}; }, [] {});
  done->may_finish = false;
  CHECK(submit(*pool, *done));
  CHECK(pool->has_room());  // the server is to accept, in order to reject
  CHECK(!submit(*pool, *done));
  done->may_finish = true;
  CHECK(wait_until_idle(*pool, no_deadline));
  CHECK(done->runs == 1);
}

TEST_CASE("runner: a task whose thread cannot be made is still the caller's") {
  const Shared<Done> done;
  const std::unique_ptr<Runner> threads =
      make_threads([] { return ThreadsSettings{.stack_size = std::size_t{1} << 46}; }, [] {});
  std::unique_ptr<Task> task = std::make_unique<CountedTask>(*done);
  CHECK_THROWS(threads->run(task));
  CHECK(task != nullptr);
  CHECK(threads->running() == 0);
  CHECK(done->runs == 0);
}

TEST_CASE("runner: an abort ends the children of a forking runner") {
  const Shared<Done> done;
  const std::unique_ptr<Runner> forks = ForksRunner::make([] {});
  done->may_finish = false;
  submit(*forks, *done);
  CHECK(eventually([&] { return done->runs == 1; }));
  CHECK(forks->abort(false) == 1);
  CHECK(wait_until_idle(*forks, no_deadline));
  CHECK(done->finished == 0);
}

TEST_CASE_TEMPLATE("runner: nothing is left behind", Kind, RUNNERS) {
  const Shared<Done> done;
  const auto live_and_end = [&] {
    const std::unique_ptr<Runner> runner = Kind::make([] {});
    submit(*runner, *done);
    CHECK(wait_until_idle(*runner, no_deadline));
    if (sockserv::detail::Processes* const processes = runner->processes()) CHECK(processes->ids().empty());
  };
  live_and_end();  // acquires what a process acquires once, and keeps
  const std::size_t descriptors = open_descriptors().size();
  const std::size_t threads = thread_count();
  live_and_end();
  CHECK(open_descriptors().size() == descriptors);
  CHECK(eventually([&] { return thread_count() <= threads; }));
}

}  // namespace
