#include "fiber.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/thread/exceptions.hpp>
#include <cerrno>
#include <new>
#include <sockserv/address.hpp>
#include <sockserv/detail/deadline.hpp>
#include <utility>

#include "../detail/transfer.hpp"
#include "loop.hpp"

namespace sockserv::fiber {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

/// How often a fiber may receive or send without waiting, before others have their turn.
constexpr std::uint8_t turns = 64;

/// How long a datagram may wait for room, where no other limit is set.
constexpr std::chrono::seconds longest_reply_wait(5);

/// Stacks that all began at the same offset within a page would compete for the same lines of the cache. Shifting by
/// less than half a page leaves the rest of it to an idle fiber, which then needs one page only.
constexpr std::size_t colours = 16;
constexpr std::size_t colour_size = 128;

/// How much of a parked fiber's stack its handler is about to use, in lines of the cache.
constexpr std::size_t warm_lines = 14;

/// Boost.Context is given a stack that is ours.
struct OwnStack {
  static void deallocate(boost::context::stack_context&) noexcept {}
};

std::size_t size_of(std::span<const iovec> buffers) noexcept {
  std::size_t size = 0;
  for (const iovec& buffer : buffers) size += buffer.iov_len;
  return size;
}

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

void Fiber::begin(std::unique_ptr<detail::FiberTask> task) noexcept {
  task_ = std::move(task);
  timeout_.reset();
  watched_ = -1;
  readable_ = writable_ = true;
  short_read_empties_ = loop_.short_read_empties();
  cut_off_ = loop_.owner().is_cut_off();
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
  while (!ending_) {
    run_task();
    parked_ = Parked::idle;
    loop_.done(*this, task_);
    switch_to_loop();
  }
  sanitized_.about_to_end_for(*loop_.sanitized_);
}

void Fiber::run_task() noexcept {
  try {
    task_->wait_by(*this);
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
  if (deadline != no_deadline) loop_.set_timer(*this, deadline);
  switch_to_loop();
  deadline_ = no_deadline;
  turns_left_ = turns;
  return !timed_out_;
}

void Fiber::go_on() noexcept {
  parked_ = Parked::not_parked;
  loop_.make_ready(*this);
}

/// Lets others run first if this one has gone on for long.
void Fiber::take_turns() noexcept {
  if (--turns_left_ > 0) return;
  go_on();
  switch_to_loop();
  turns_left_ = turns;
}

bool Fiber::runs_here() const noexcept { return loop_.is_running(*this); }

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
  const bool may_go_on = (parked_ == Parked::to_receive && readable_) || (parked_ == Parked::to_send && writable_);
  if (may_go_on) parked_ = Parked::not_parked;
  return may_go_on;
}

void Fiber::time_has_come(time_point now) noexcept {
  if (parked_ == Parked::not_parked || deadline_ == no_deadline) return;
  if (now < deadline_) return loop_.set_timer(*this, deadline_);
  timed_out_ = true;
  go_on();
}

void Fiber::cut_off() noexcept {
  cut_off_ = true;
  if (parked_ == Parked::to_be_woken) go_on();
}

void Fiber::wake() {
  // Otherwise what waits is a function that it has offloaded, in the thread that is calling.
  if (Loop::current() != &loop_) return;
  if (parked_ == Parked::to_be_woken) go_on();
  loop_.settle();
}

bool Fiber::guards(const void* address) const noexcept {
  const char* const bottom = stack_.top - stack_.size;
  const char* const touched = static_cast<const char*>(address);
  return touched < bottom && touched >= bottom - Stacks::guard_size;
}

/// The earlier of that deadline and the handler's own time limit.
Fiber::time_point Fiber::until(time_point deadline) const noexcept {
  return timeout_ ? std::min(deadline, detail::deadline_after(*timeout_)) : deadline;
}

bool Fiber::park_for_readiness(int descriptor, Parked parked, time_point deadline, error_code& error) noexcept {
  if (watched_ != descriptor || descriptor < 0) {  // a closed one is refused
    error = loop_.watch(descriptor, *this);
    if (error) return false;
    watched_ = descriptor;
  }
  if (!park(parked, deadline)) error = errc::timed_out;
  return !error;
}

/// What is there, without waiting for it; no value: nothing is.
std::optional<std::size_t> Fiber::try_to_receive(int descriptor, std::span<const iovec> buffers,
                                                 error_code& error) noexcept {
  ssize_t count = -1;
  do {
    count = detail::receive_into(descriptor, buffers, MSG_DONTWAIT);
  } while (count < 0 && errno == EINTR);
  if (count < 0 && detail::would_block()) {
    readable_ = false;
    return std::nullopt;
  }
  if (count < 0) {
    error = detail::last_system_error();
    return 0;
  }
  const auto received = static_cast<std::size_t>(count);
  if (short_read_empties_ && received < size_of(buffers)) readable_ = false;
  return received;
}

std::size_t Fiber::receive(int descriptor, std::span<const iovec> buffers, time_point deadline,
                           error_code& error) noexcept {
  const time_point limit = until(deadline);
  if (!runs_here()) return detail::blocking().receive(descriptor, buffers, limit, error);
  take_turns();
  error.clear();
  for (;;) {
    if (!readable_ && !park_for_readiness(descriptor, Parked::to_receive, limit, error)) return 0;
    if (const auto count = try_to_receive(descriptor, buffers, error)) return *count;
  }
}

std::size_t Fiber::receive_more(int descriptor, detail::InputBuffer& buffer, time_point deadline, error_code& error) {
  if (!runs_here()) return Waiting::receive_more(descriptor, buffer, deadline, error);
  const time_point limit = until(deadline);
  take_turns();
  error.clear();
  for (;;) {
    if (!readable_) {
      // Nothing that was read is looked at any more, so a fiber that waits for its client holds next to no memory.
      buffer.economize();
      if (!park_for_readiness(descriptor, Parked::to_receive, limit, error)) return 0;
    }
    buffer.borrow_from(loop_.input_buffers());
    const std::span<char> room = buffer.room();
    const iovec target{room.data(), room.size()};
    if (const auto count = try_to_receive(descriptor, {&target, 1}, error)) {
      buffer.commit(*count);
      return *count;
    }
  }
}

std::size_t Fiber::send(int descriptor, std::span<const iovec> buffers, time_point deadline,
                        error_code& error) noexcept {
  const time_point limit = until(deadline);
  if (!runs_here()) return detail::blocking().send(descriptor, buffers, limit, error);
  take_turns();
  error.clear();
  for (;;) {
    if (!writable_ && !park_for_readiness(descriptor, Parked::to_send, limit, error)) return 0;
    const ssize_t count = detail::send_from(descriptor, buffers, MSG_DONTWAIT);
    if (count >= 0) return static_cast<std::size_t>(count);
    if (errno == EINTR) continue;
    if (!detail::would_block()) {
      error = detail::last_system_error();
      return 0;
    }
    writable_ = false;
  }
}

/// There is no telling when a datagram's receiver has room again, so it is tried now and then.
void Fiber::send_to(int descriptor, std::string_view packet, const Address& address, error_code& error) noexcept {
  if (!runs_here()) return detail::blocking().send_to(descriptor, packet, address, error);
  take_turns();
  const time_point limit = detail::deadline_after(timeout_.value_or(longest_reply_wait));
  for (milliseconds pause(1);; pause = std::min(2 * pause, milliseconds(50))) {
    ssize_t count = -1;
    do {
      count = ::sendto(descriptor, packet.data(), packet.size(), MSG_DONTWAIT | MSG_NOSIGNAL, address.data(),
                       address.size());
    } while (count < 0 && errno == EINTR);
    error = count < 0 ? detail::last_system_error() : error_code();
    if (count >= 0 || !detail::would_block()) return;
    if (cut_off_ || steady_clock::now() >= limit) break;
    park(Parked::to_be_woken, detail::deadline_after(pause));
  }
  error = errc::timed_out;
}

void Fiber::set_timeout(int, std::optional<duration> limit, error_code& error) noexcept {
  timeout_ = limit;
  error.clear();
}

bool Fiber::sleep_until(time_point time, detail::LiveRequests& live) {
  if (!runs_here()) return Waiting::sleep_until(time, live);
  while (steady_clock::now() < time) {
    if (cut_off_) return false;
    park(Parked::to_be_woken, time);
  }
  return true;
}

void Fiber::run_elsewhere(const std::function<void()>& work) {
  if (!runs_here()) return work();

  struct Work final : detail::ThreadTask {
    const std::function<void()>& work;
    Fiber& fiber;
    detail::RequestScope* scope;
    bool& done;

    Work(const std::function<void()>& what, Fiber& whose, bool& is_done)
        : work(what), fiber(whose), scope(detail::RequestScope::current()), done(is_done) {}

    void run() override {
      detail::RequestScope::current() = scope;  // the fiber, which owns it, waits for us
      work();
      detail::RequestScope::current() = nullptr;
      fiber.loop_.post([&fiber = fiber, &done = done] {
        done = true;
        fiber.wake();
      });
    }
  };
  bool done = false;
  std::unique_ptr<detail::ThreadTask> task = std::make_unique<Work>(work, *this, done);
  loop_.owner().run_elsewhere(task);
  while (wait_for(done, no_deadline, nullptr) != Outcome::done) continue;
}

boost::asio::io_context& Fiber::context() { return runs_here() ? loop_.context() : Waiting::context(); }

Fiber::Outcome Fiber::wait_for(const bool& done, time_point deadline, detail::LiveRequests* live) {
  if (!runs_here()) return Waiting::wait_for(done, deadline, live);
  while (!done) {
    if (live && cut_off_) return Outcome::cut_off;
    if (!park(Parked::to_be_woken, deadline) && !done) return Outcome::timed_out;
  }
  return Outcome::done;
}

}  // namespace sockserv::fiber
