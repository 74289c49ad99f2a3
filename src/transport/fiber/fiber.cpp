#include "fiber.hpp"

#include <sys/epoll.h>

#include <boost/thread/exceptions.hpp>
#include <cerrno>
#include <new>
#include <utility>

#include "loop.hpp"

namespace sockserv::inline abi_0::fiber {
namespace {

/// How often a fiber may receive or send without waiting, before others have their turn.
constexpr std::uint8_t turns = 64;

/// Stacks that all began at the same offset within a page would compete for the same lines of the cache. Shifting by
/// less than half a page leaves the rest of it to an idle fiber, which then needs one page only.
constexpr std::size_t colours = 16;
constexpr std::size_t colour_size = 128;

/// How much of a parked fiber's stack its handler is about to use, in lines of the cache.
constexpr std::size_t warm_lines = 24;

/// Boost.Context is given a stack that is ours.
struct OwnStack {
  static void deallocate(boost::context::stack_context&) noexcept {}
};

}  // namespace

Fiber& Fiber::make(Loop& loop, const Stack& stack, std::size_t number) {
  constexpr std::size_t alignment = 64;
  char* const begin = stack.top - number % colours * colour_size - sizeof(Fiber);
  char* const place = begin - reinterpret_cast<std::uintptr_t>(begin) % alignment;
  return *new (place) Fiber(loop, {place, stack.size - static_cast<std::size_t>(stack.top - place)});
}

Fiber::Fiber(Loop& loop, const Stack& stack)
    : loop_(loop), stack_(stack), sanitized_(stack.top - stack.size, stack.size) {
  boost::context::stack_context context;
  context.sp = stack.top;
  context.size = stack.size;
  // To make a fiber, Boost.Context switches to it for a moment.
  loop_.sanitized_->about_to_switch_to(sanitized_);
  sanitized_.has_switched_from(*loop_.sanitized_);
  self_ = boost::context::fiber(std::allocator_arg, boost::context::preallocated(stack.top, stack.size, context),
                                OwnStack(), [this](boost::context::fiber&& loop_side) {
                                  loop_side_ = std::move(loop_side);
                                  run_tasks();
                                  return std::move(loop_side_);
                                });
  sanitized_.about_to_switch_to(*loop_.sanitized_);
  loop_.sanitized_->has_switched_from(sanitized_);
}

void Fiber::end() noexcept {
  ending_ = true;
  loop_.sanitized_->about_to_switch_to(sanitized_);
  self_ = std::move(self_).resume();
  loop_.sanitized_->has_outlived(sanitized_);
  this->~Fiber();
}

void Fiber::begin(std::unique_ptr<detail::Task> task) noexcept {
  task_ = std::move(task);
  visible_task_.store(task_.get(), std::memory_order_release);
  watched_ = -1;
  readable_ = writable_ = true;
  short_read_empties_ = loop_.short_read_empties();
  aborted_ = loop_.owner().is_aborted();
  turns_left_ = turns;
  parked_ = Parked::not_parked;
}

void Fiber::resume() noexcept {
  std::swap(*loop_.exceptions_, exceptions_);
  std::swap(*loop_.scope_, scope_);
  loop_.sanitized_->about_to_switch_to(sanitized_);
  self_ = std::move(self_).resume();
  loop_.sanitized_->has_switched_from(sanitized_);
  std::swap(*loop_.scope_, scope_);
  std::swap(*loop_.exceptions_, exceptions_);
}

/// What the fiber does, on its own stack, from the first task to the last.
void Fiber::run_tasks() {
  sanitized_.has_switched_from(*loop_.sanitized_);
  const detail::RequestScope waits_here(static_cast<detail::Scheduler&>(*this));
  while (!ending_) {
    run_task();
    parked_ = Parked::idle;
    loop_.done(*this, std::move(task_));
    switch_to_loop();
  }
  sanitized_.about_to_end_for(*loop_.sanitized_);
}

void Fiber::run_task() noexcept {
  try {
    task_->use_transport(*this);
    task_->run();
  } catch (const boost::thread_interrupted&) {
    // Meant for what the fiber was doing, which has ended; the thread is the loop's.
  }
}

void Fiber::switch_to_loop() noexcept {
  const int saved = errno;
  parked_at_ = static_cast<const char*>(__builtin_frame_address(0));
  sanitized_.about_to_switch_to(*loop_.sanitized_);
  loop_side_ = std::move(loop_side_).resume();
  sanitized_.has_switched_from(*loop_.sanitized_);
  errno = saved;
}

/// False if the deadline came first. Others than the awaited may have made it go on: the caller looks.
bool Fiber::park(Parked parked, time_point deadline) noexcept {
  parked_ = parked;
  deadline_ = deadline;
  timed_out_ = false;
  if (deadline != detail::no_deadline) loop_.set_timer(*this, deadline);
  switch_to_loop();
  deadline_ = detail::no_deadline;
  turns_left_ = turns;
  return !timed_out_;
}

void Fiber::go_on() noexcept {
  parked_ = Parked::not_parked;
  loop_.make_ready(*this);
}

/// Lets others run first if this one has gone on for long.
void Fiber::give_turn() noexcept {
  if (--turns_left_ > 0) return;
  go_on();
  switch_to_loop();
  turns_left_ = turns;
}

void Fiber::prefetch_stack() const noexcept {
  for (std::size_t line = 0; line < warm_lines; ++line)
    __builtin_prefetch(parked_at_ + (static_cast<std::ptrdiff_t>(line) - 2) * 64, 1);
  for (std::size_t line = 0; line < 4; ++line)
    __builtin_prefetch(reinterpret_cast<const char*>(task_.get()) + line * 64, 1);
}

bool Fiber::happened(std::uint32_t events) noexcept {
  if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI)) != 0) readable_ = true;
  if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) writable_ = true;
  // The end of the stream is no byte, and urgent data splits what is read: both are found by reading on.
  if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI)) != 0) short_read_empties_ = false;
  const bool may_go_on = (parked_ == Parked::to_receive && readable_) || (parked_ == Parked::to_send && writable_) ||
                         (parked_ == Parked::to_receive_or_send && (readable_ || writable_));
  if (may_go_on) parked_ = Parked::not_parked;
  return may_go_on;
}

void Fiber::time_has_come(time_point now) noexcept {
  if (parked_ == Parked::not_parked || deadline_ == detail::no_deadline) return;
  if (now < deadline_) return loop_.set_timer(*this, deadline_);
  timed_out_ = true;
  go_on();
}

void Fiber::abort() noexcept {
  aborted_ = true;
  if (parked_ == Parked::to_be_woken) go_on();
}

bool Fiber::guards(const void* address) const noexcept {
  const char* const bottom = stack_.top - stack_.size;
  const char* const touched = static_cast<const char*>(address);
  return touched < bottom && touched >= bottom - Stacks::guard_size;
}

}  // namespace sockserv::inline abi_0::fiber
