#include "thread_pool.hpp"

#include <boost/thread/exceptions.hpp>
#include <limits>
#include <utility>

namespace sockserv::inline abi_0::detail {

/// What each thread of the pool does: tasks, until there are none and the pool ends.
class ThreadPool::Worker final : public Task {
 public:
  explicit Worker(ThreadPool& pool) : pool_(pool) {
    const std::scoped_lock lock(pool_.mutex_);
    ++pool_.threads_;
  }
  ~Worker() override {
    const std::scoped_lock lock(pool_.mutex_);
    --pool_.threads_;
  }

  bool run() override {
    while (std::unique_ptr<Task> task = pool_.next_task()) {
      struct Done {
        ThreadPool& pool;
        std::unique_ptr<Task>& task;
        ~Done() {
          task.reset();
          pool.unfinished_.end();
        }
      } const done{pool_, task};
      try {
        task->run();
      } catch (const boost::thread_interrupted&) {
        // Meant for what the thread was doing, which has ended; the thread is the pool's.
      }
    }
    return true;
  }

 private:
  ThreadPool& pool_;
};

std::unique_ptr<Task> ThreadPool::next_task() {
  std::unique_lock lock(mutex_);
  ++idle_;
  task_or_end_.wait(lock, [this] { return !queue_.empty() || ending_; });
  --idle_;
  if (queue_.empty()) return nullptr;
  std::unique_ptr<Task> task = std::move(queue_.front());
  queue_.pop_front();
  return task;
}

bool ThreadPool::has_room(const Limits& limits) const {
  const std::size_t most = std::numeric_limits<std::size_t>::max();
  return unfinished_.has_room(limits.queue > most - limits.threads ? most : limits.threads + limits.queue);
}

void ThreadPool::submit(std::unique_ptr<Task>& task, const Limits& limits) {
  const std::scoped_lock turn(submitting_);
  std::unique_lock lock(mutex_);
  // First a thread, then the task: what fails leaves the task to the caller, and no thread to be ended.
  if (idle_ <= queue_.size() && threads_ < limits.threads) {
    lock.unlock();
    start_thread(limits);
    lock.lock();
  }
  queue_.push_back(std::move(task));
  unfinished_.begin();
  lock.unlock();  // first: a thread that wakes up to find the lock taken goes back to sleep
  task_or_end_.notify_one();
}

/// Throws if there is no thread at all; otherwise one of those that there are will do.
void ThreadPool::start_thread(const Limits& limits) {
  try {
    std::unique_ptr<Task> worker = std::make_unique<Worker>(*this);
    group_.start(worker, limits.stack_size);
  } catch (...) {
    const std::scoped_lock lock(mutex_);
    if (threads_ == 0) throw;
  }
}

void ThreadPool::stop() {
  {
    const std::scoped_lock lock(mutex_);
    ending_ = true;
    task_or_end_.notify_all();
  }
  group_.wait_until_none();
}

}  // namespace sockserv::inline abi_0::detail
