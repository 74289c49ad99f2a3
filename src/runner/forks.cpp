#include <signal.h>

#include <algorithm>
#include <atomic>
#include <sockserv/detail/counters.hpp>
#include <sockserv/detail/descriptor.hpp>
#include <sockserv/detail/runners.hpp>
#include <sockserv/detail/shared_memory.hpp>
#include <utility>

#include "child_processes.hpp"
#include "stop_event.hpp"

namespace sockserv::inline abi_0::detail {
namespace {

/// What the children share with their parent.
struct SharedWithChildren {
  Counters counters;
  std::atomic<bool> stopping = false;
  ChildProcesses::ExitFlags exit_flags;
};

class Forks final : public Runner, public Processes {
 public:
  explicit Forks(ForksSettings settings) : settings_(std::move(settings)) { settings_.count_in(shared().counters); }

  void run(std::unique_ptr<Task>& task) override {
    const pid_t child =
        fork_with_notice(settings_.notify, [&] { return children_.add(settings_.fork, task->take_admission()); });
    if (child == 0) run_in_child(*task);
  }

  bool has_room() const override { return children_.size() < settings_.max_children(); }
  std::size_t running() const override { return 0; }
  bool wait_until_idle(time_point) override { return true; }

  std::size_t abort(bool last_resort) noexcept override {
    const std::size_t children = children_.signal_all(last_resort ? SIGKILL : SIGTERM);
    if (!last_resort) count(shared().counters.aborted_drain, children);
    return children;
  }

  Watch watch() override {
    children_.watch_all();
    return {children_.descriptor(), children_.look_interval()};
  }
  void collect() override { children_.collect_known(); }

  Processes* processes() noexcept override { return this; }
  std::set<pid_t> ids() const override { return children_.active(); }
  /// A request that is being forked for is known on both sides.
  std::size_t requests(std::size_t here) const override { return std::max(here, children_.size()); }
  bool wait_until_none(time_point deadline) override { return children_.wait_until_none(deadline); }
  void stop_waiting() noexcept override { children_.stop_waiting(); }
  void stop(EndIdle when) noexcept override {
    shared().stopping = true;
    stopped_.set(when);
  }
  bool stop_requested() const noexcept override { return shared().stopping; }
  void expect_stop(int descriptor) override {
    // A client that asks at once, and once, costs no thread.
    if (!must_watch_ || is_readable(descriptor)) return;
    must_watch_ = false;
    stopped_.call_when_set(settings_.end_idle);
  }

 private:
  SharedWithChildren& shared() const noexcept { return shared_.values().front(); }

  [[noreturn]] void run_in_child(Task& task) noexcept {
    must_watch_ = true;
    try {
      settings_.notify(boost::asio::execution_context::fork_child);
      children_.exit_from_child(task.run() ? 0 : 1);
    } catch (...) {  // a request to end the thread, which in this process is the only one
      children_.exit_from_child(1);
    }
  }

  const ForksSettings settings_;
  SharedMemory<SharedWithChildren> shared_{1};
  // Before what its children keep, so that the descriptors that they close have numbers that follow each other.
  ChildProcesses children_{shared().exit_flags};
  StopEvent stopped_;
  bool must_watch_ = false;  // a child that has no thread yet to wait for that
};

}  // namespace

std::unique_ptr<Runner> make_forks(ForksSettings settings) { return std::make_unique<Forks>(std::move(settings)); }

}  // namespace sockserv::inline abi_0::detail
