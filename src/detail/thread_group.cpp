#include <sockserv/detail/thread_group.hpp>

#include <boost/thread/thread.hpp>
#include <condition_variable>
#include <mutex>
#include <new>
#include <utility>

namespace sockserv::detail {

struct ThreadGroup::State {
  std::function<void()> on_room;
  std::mutex mutex;  // guards what follows
  std::condition_variable none_left;
  std::size_t running = 0;
  bool room_wanted = false;

  void leave() {
    const std::scoped_lock lock(mutex);
    // Under the lock, because whoever waits for the last thread may then destroy what on_room refers to.
    if (std::exchange(room_wanted, false)) on_room();
    if (--running == 0) none_left.notify_all();
  }
};

ThreadGroup::ThreadGroup(std::function<void()> on_room) : state_(std::make_shared<State>()) {
  state_->on_room = std::move(on_room);
}

ThreadGroup::~ThreadGroup() { wait_until_none(); }

void ThreadGroup::start(std::unique_ptr<ThreadTask>& task, std::size_t stack_size) {
  {
    const std::scoped_lock lock(state_->mutex);
    ++state_->running;
  }
  struct Entry {
    std::shared_ptr<State> state;
    ThreadTask* task;

    void operator()() const {
      struct Leave {
        std::shared_ptr<State> state;
        ~Leave() { state->leave(); }
      };
      // The first thread-local variable is the last to go: what the task has put into others ends before.
      thread_local const Leave leave{state};
      const std::unique_ptr<ThreadTask> owned(task);
      owned->run();
    }
  };
  try {
    boost::thread::attributes attributes;
    if (stack_size > 0) attributes.set_stack_size(stack_size);
    boost::thread(attributes, Entry{state_, task.get()}).detach();
  } catch (...) {
    state_->leave();
    throw;
  }
  // The thread owns the task from its first line on; only now do we know that it will get there.
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

void ThreadGroup::forget() {
  // What was is left as it is: a thread of the parent may have held its lock.
  new (this) ThreadGroup(state_->on_room);
}

}  // namespace sockserv::detail
