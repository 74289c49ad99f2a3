#include "thread_group.hpp"

#include <boost/thread/thread.hpp>
#include <utility>

#include "../base/thread_ending.hpp"

namespace sockserv::inline abi_0::detail {

/// Counts a thread as running until it exits.
class ThreadGroup::Membership final : public ThreadEnding {
 public:
  explicit Membership(std::shared_ptr<RunningTasks> running) : running_(std::move(running)) { running_->begin(); }
  Membership(const Membership&) = delete;
  Membership& operator=(const Membership&) = delete;
  ~Membership() { running_->end(); }

 private:
  void at_end() noexcept override { delete this; }

  std::shared_ptr<RunningTasks> running_;
};

ThreadGroup::ThreadGroup(std::function<void()> on_room) : running_(std::make_shared<RunningTasks>(std::move(on_room))) {
  ThreadEnding::prepare();
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
  auto membership = std::make_unique<Membership>(running_);
  boost::thread::attributes attributes;
  if (stack_size > 0) attributes.set_stack_size(stack_size);
  boost::thread(attributes, Entry{membership.get(), task.get()}).detach();
  // The thread owns both from its first line on; only now do we know that it will get there.
  static_cast<void>(membership.release());
  static_cast<void>(task.release());
}

}  // namespace sockserv::inline abi_0::detail
