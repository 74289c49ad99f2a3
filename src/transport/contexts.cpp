#include <sockserv/detail/contexts.hpp>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <memory>
#include <mutex>
#include <new>
#include <sockserv/detail/descriptor.hpp>
#include <vector>

#include "../base/thread_ending.hpp"

namespace sockserv::inline abi_0::detail {
namespace {

using boost::asio::io_context;

constinit std::mutex idle_mutex;  // guards what follows
/// Contexts that nobody has. Never destroyed, since threads may end after main() has returned.
constinit std::vector<io_context*>* idle_contexts = nullptr;
constinit std::size_t contexts_made = 0;
constinit std::atomic<bool> ever_used = false;  // set before the mutex is first taken

/// A plain thread's context, given back when the thread ends.
class ThreadContext final : public ThreadEnding {
 public:
  LeasedContext lease;

 private:
  void at_end() noexcept override;
};

constinit thread_local ThreadContext* of_this_thread = nullptr;

void ThreadContext::at_end() noexcept {
  of_this_thread = nullptr;
  delete this;
}

}  // namespace

LeasedContext::~LeasedContext() {
  if (!context_) return;
  const std::scoped_lock lock(idle_mutex);
  idle_contexts->push_back(context_);  // there is room
}

io_context& LeasedContext::get() {
  if (context_) return *context_;
  ever_used = true;
  const std::scoped_lock lock(idle_mutex);
  if (!idle_contexts) idle_contexts = new std::vector<io_context*>;
  if (idle_contexts->empty()) {
    fill_standard_descriptors();  // Asio is about to open some
    idle_contexts->reserve(contexts_made + 1);
    context_ = new io_context(1);  // 1: one thread runs it
    ++contexts_made;
  } else {
    context_ = idle_contexts->back();
    idle_contexts->pop_back();
  }
  return *context_;
}

io_context& context_of_this_thread() {
  if (!of_this_thread) {
    ThreadEnding::prepare();
    auto made = std::make_unique<ThreadContext>();
    made->lease.get();
    if (!made->register_here()) throw std::bad_alloc();
    of_this_thread = made.release();
  }
  return of_this_thread->lease.get();
}

void close_idle_contexts() noexcept {
  const std::scoped_lock lock(idle_mutex);
  if (!idle_contexts) return;
  for (const io_context* const context : *idle_contexts) delete context;
  idle_contexts->clear();
}

void abandon_contexts() noexcept {
  if (!ever_used) return;  // a child touches no memory without need
  // A thread that is not here may have held it. To lock it across each fork instead would have a page copied each time.
  std::construct_at(&idle_mutex);
  idle_contexts = nullptr;
  contexts_made = 0;
  if (of_this_thread) of_this_thread->lease.abandon();
}

}  // namespace sockserv::inline abi_0::detail
