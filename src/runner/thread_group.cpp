#include "thread_group.hpp"

#include <boost/thread/thread.hpp>
#include <condition_variable>
#include <mutex>
#include <utility>

#include "../base/thread_ending.hpp"

namespace sockserv::detail {

struct ThreadGroup::State {
  std::function<void()> on_room;
  std::mutex mutex;  // guards what follows
  std::condition_variable none_left;
  std::size_t running = 0;
  bool room_wanted = false;
};

/// Counts a thread as running until it exits.
class ThreadGroup::Membership final : public ThreadEnding {
 public:
  explicit Membership(std::shared_ptr<State> state) : state_(std::move(state)) {
    const std::scoped_lock lock(state_->mutex);
    ++state_->running;
  }
  Membership(const Membership&) = delete;
  Membership& operator=(const Membership&) = delete;
  ~Membership() {
    const std::scoped_lock lock(state_->mutex);
    // Under the lock, because whoever waits for the last thread may then destroy what on_room refers to.
    if (std::exchange(state_->room_wanted, false)) state_->on_room();
    if (--state_->running == 0) state_->none_left.notify_all();
  }

 private:
  void at_end() noexcept override { delete this; }

  std::shared_ptr<State> state_;
};

ThreadGroup::ThreadGroup(std::function<void()> on_room) : state_(std::make_shared<State>()) {
  ThreadEnding::prepare();
  state_->on_room = std::move(on_room);
}

ThreadGroup::~ThreadGroup() { wait_until_none(); }

void ThreadGroup::start(std::unique_ptr<Task>& task, std::size_t stack_size) {
  struct Entry {
    Membership* membership;
    Task* task;

    void operator()() const {
      std::unique_ptr<Membership> until_here(membership);
      // The first to be registered is the last to go: what the task leaves in thread-local variables ends before.
      if (until_here->register_here()) static_cast<void>(until_here.release());
      const std::unique_ptr<Task> owned(task);
      owned->run();
    }
  };
  auto membership = std::make_unique<Membership>(state_);
  boost::thread::attributes attributes;
  if (stack_size > 0) attributes.set_stack_size(stack_size);
  boost::thread(attributes, Entry{membership.get(), task.get()}).detach();
  // The thread owns both from its first line on; only now do we know that it will get there.
  static_cast<void>(membership.release());
  static_cast<void>(task.release());
}

std::size_t ThreadGroup::running() const {
  const std::scoped_lock lock(state_->mutex);
  return state_->running;
}

bool ThreadGroup::has_room(std::size_t limit) const {
  const std::scoped_lock lock(state_->mutex);
  state_->room_wanted = state_->running >= limit;
  return !state_->room_wanted;
}

bool ThreadGroup::wait_until_none(std::chrono::steady_clock::time_point deadline) {
  std::unique_lock lock(state_->mutex);
  return state_->none_left.wait_until(lock, deadline, [&] { return state_->running == 0; });
}

}  // namespace sockserv::detail
