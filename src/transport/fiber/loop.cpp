#include "loop.hpp"

#include <cxxabi.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <sockserv/detail/clock.hpp>
#include <sockserv/detail/text.hpp>
#include <span>
#include <utility>

namespace sockserv::inline abi_0::fiber {
namespace {

using std::chrono::steady_clock;

/// How often the loop looks into its own epoll set before Asio has its turn.
constexpr int rounds_at_a_time = 16;

thread_local Loop* of_this_thread = nullptr;

boost::asio::posix::stream_descriptor make_epoll_set(boost::asio::io_context& context) {
  detail::Descriptor set(::epoll_create1(EPOLL_CLOEXEC));
  if (!set) detail::throw_error(detail::last_system_error(), "epoll_create1");
  boost::asio::posix::stream_descriptor watched(context);
  watched.assign(set.get());
  static_cast<void>(set.release());  // only now is it Asio's to close
  return watched;
}

}  // namespace

Loop::Loop(LoopOwner& owner, const detail::FibersSettings& settings)
    : owner_(owner),
      settings_(settings),
      overflow_message_("sockserv: a fiber's stack of " + std::to_string(settings.stack_size) +
                        " bytes has overflowed in " + detail::type_name(*settings.handler) +
                        "; raise FiberMixIn::stack_size, or keep large objects off the stack\n"),
      epoll_(make_epoll_set(context_)),
      stacks_(settings.stack_size),
      thread_([this] { run_thread(); }) {}

Loop* Loop::current() noexcept { return of_this_thread; }

void Loop::run_thread() {
  SanitizedStack sanitized;
  sanitized_ = &sanitized;
  exceptions_ = reinterpret_cast<ExceptionState*>(abi::__cxa_get_globals());
  scope_ = &detail::RequestScope::current();
  of_this_thread = this;
  input_buffers_.belong_here();
  const OverflowWatch watch(signal_stack_.get());
  context_.restart();
  // An operation that throws, for example for lack of memory, was dropped, and the handler that awaits it gets an
  // error.
  do {
    wait_for_events();
  } while (detail::error_of([this] { context_.run(); }));
  for (Fiber* const fiber : fibers_) fiber->end();
}

void Loop::stop() noexcept {  // NOLINT(bugprone-exception-escape): join() fails only where a thread joins itself
  if (!thread_.joinable()) return;
  order(Order::end);
  thread_.join();
}

void Loop::order(Order what) noexcept {
  // Those that have been given before have been posted.
  if (orders_.fetch_or(static_cast<unsigned>(what)) != 0) return;
  post(orders_memory_, [this] { carry_out(orders_.exchange(0)); });
}

void Loop::carry_out(unsigned orders) noexcept {
  const auto given = [orders](Order what) { return (orders & static_cast<unsigned>(what)) != 0; };
  if (given(Order::accept)) accept();
  if (given(Order::abort)) {
    for (Fiber& fiber : live_) fiber.abort();
  }
  if (given(Order::end)) end();
}

/// Another will have the context: what still waits in it ends first, and what that leads to has come before the stop.
void Loop::end() noexcept {  // NOLINT(bugprone-exception-escape): cancelling does not fail
  ending_ = true;
  timer_.cancel();
  epoll_.cancel();
  post(end_memory_, [this] { context_.stop(); });
}

void Loop::start(std::unique_ptr<detail::Task>& task) {
  if (current() == this) {
    add_load(1);
    return begin(std::move(task));
  }
  boost::asio::post(context_, [this, task = task.get()] {
    add_load(1);
    begin(std::unique_ptr<detail::Task>(task));
    settle();
  });
  static_cast<void>(task.release());  // only now is it the loop's
}

void Loop::begin(std::unique_ptr<detail::Task> task) noexcept {
  Fiber* fiber = nullptr;
  if (const auto error = detail::error_of([&] { fiber = &take_fiber(); })) {
    task->fail(error);
    task.reset();
    add_load(-1);
    return owner_.done();
  }
  fiber->begin(std::move(task));
  live_.push_back(*fiber);
  make_ready(*fiber);
}

Fiber& Loop::take_fiber() {
  if (idle_.empty()) {
    // There is room in both before there is a fiber, so that nothing can fail after that.
    if (fibers_.size() == fibers_.capacity()) fibers_.reserve(2 * fibers_.size() + 1);
    idle_.reserve(fibers_.capacity());
    fibers_.push_back(&Fiber::make(*this, stacks_.make(), fibers_.size()));
    return *fibers_.back();
  }
  Fiber& fiber = *idle_.back();
  idle_.pop_back();
  return fiber;
}

void Loop::done(Fiber& fiber, std::unique_ptr<detail::Task> task) noexcept {
  {
    const std::scoped_lock lock(tasks_);
    fiber.hide_task();
  }
  task.reset();
  live_.erase(live_.iterator_to(fiber));
  if (fiber.in_timers) timers_.erase(timers_.iterator_to(fiber));
  fiber.in_timers = false;
  idle_.push_back(&fiber);
  add_load(-1);
  owner_.done();
}

Loop::LoopSnapshot Loop::snapshot() const noexcept {
  return {turn_.load(std::memory_order_acquire), running_.load(std::memory_order_acquire) != nullptr};
}

std::optional<Address> Loop::client_of(std::uint64_t turn) const {
  const std::scoped_lock lock(tasks_);
  const Fiber* const fiber = running_.load(std::memory_order_acquire);
  const detail::Task* const task = fiber ? fiber->task() : nullptr;
  if (!task || turn_.load(std::memory_order_acquire) != turn) return std::nullopt;
  return task->client_address();
}

/// The switch from the loop to a fiber, which comes back when that parks.
void Loop::run(Fiber& fiber) noexcept {
  turn_.store(turn_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  running_.store(&fiber, std::memory_order_release);
  fiber.resume();
  running_.store(nullptr, std::memory_order_release);
}

error_code Loop::watch(int descriptor, Fiber& fiber) noexcept {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET;
  event.data.ptr = &fiber;
  int result = ::epoll_ctl(epoll_.native_handle(), EPOLL_CTL_ADD, descriptor, &event);
  if (result != 0 && errno == EEXIST) {
    result = ::epoll_ctl(epoll_.native_handle(), EPOLL_CTL_MOD, descriptor, &event);
  }
  return result == 0 ? error_code() : detail::last_system_error();
}

void Loop::stop_watching(int descriptor) noexcept {
  ::epoll_ctl(epoll_.native_handle(), EPOLL_CTL_DEL, descriptor, nullptr);
}

void Loop::watch_listener(int listener) {
  listener_ = listener;
  if (const error_code error = resume_watching()) detail::throw_error(error, "epoll_ctl");
}

error_code Loop::resume_watching() noexcept {
  if (watches_listener_) return {};
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;
  event.data.ptr = nullptr;
  if (::epoll_ctl(epoll_.native_handle(), EPOLL_CTL_ADD, listener_, &event) != 0) return detail::last_system_error();
  watches_listener_ = true;
  return {};
}

void Loop::pause_watching() noexcept {
  if (!watches_listener_) return;
  watches_listener_ = ::epoll_ctl(epoll_.native_handle(), EPOLL_CTL_DEL, listener_, nullptr) != 0;
}

void Loop::make_ready(Fiber& fiber) noexcept {
  fiber.next_ready = nullptr;
  (first_ready_ ? last_ready_->next_ready : first_ready_) = &fiber;
  last_ready_ = &fiber;
}

/// Runs those that are ready now. A fiber that becomes ready meanwhile has its turn after the next look at the epoll
/// set.
void Loop::run_ready() {
  for (Fiber* fiber = std::exchange(first_ready_, nullptr); fiber;) {
    Fiber* const next = fiber->next_ready;
    run(*fiber);
    fiber = next;
  }
}

void Loop::set_timer(Fiber& fiber, steady_clock::time_point time) {
  if (fiber.in_timers) {
    if (fiber.timer <= time) return;
    timers_.erase(timers_.iterator_to(fiber));
  }
  fiber.timer = time;
  fiber.in_timers = true;
  timers_.insert(fiber);
}

void Loop::notify_timers() {
  if (timers_.empty()) return;
  const auto now = detail::now();
  while (!timers_.empty() && timers_.begin()->timer <= now) {
    Fiber& fiber = *timers_.begin();
    timers_.erase(timers_.begin());
    fiber.in_timers = false;
    fiber.time_has_come(now);
  }
}

void Loop::arm_timer() {
  if (timers_.empty() || timers_.begin()->timer >= timer_set_for_) return;
  timer_set_for_ = steady_clock::time_point::max();
  timer_.expires_at(timers_.begin()->timer);
  timer_.async_wait([this](error_code error) {
    if (error) return;  // set anew, for an earlier time
    timer_set_for_ = steady_clock::time_point::max();
    notify_timers();
    settle();
  });
  timer_set_for_ = timers_.begin()->timer;
}

void Loop::go_round() {
  owner_.busy();
  // After a single event there is hardly another, unless it is worth waiting for.
  const bool polls_busily = settings_.busy_poll > steady_clock::duration::zero();
  const int too_few = polls_busily ? 0 : 1;
  bool more = true;
  for (int round = 0; more && round < rounds_at_a_time; ++round) {
    const int count = serve_events();
    if (std::exchange(accept_again_, false)) accept();
    run_ready();
    notify_timers();
    more = count > too_few;
  }
  wait_for_events(more && polls_busily);
}

/// Waits for no longer than `busy_poll`, and without sleeping.
int Loop::look_for_events() noexcept {
  const auto look = [this] {
    return ::epoll_wait(epoll_.native_handle(), events_.data(), static_cast<int>(events_.size()), 0);
  };
  int count = look();
  if (count == 0 && settings_.busy_poll > steady_clock::duration::zero() && !first_ready_ && !accept_again_) {
    const auto end = detail::now() + settings_.busy_poll;
    while (count == 0 && detail::now() < end) count = look();
  }
  return count;
}

int Loop::serve_events() {
  const int count = look_for_events();
  const auto fiber_of = [&](int index) {
    return static_cast<Fiber*>(events_[static_cast<std::size_t>(index)].data.ptr);
  };
  for (int i = 0; i < count; ++i) {
    if (i + 3 < count && fiber_of(i + 3)) fiber_of(i + 3)->prefetch();
    if (i + 1 < count && fiber_of(i + 1)) fiber_of(i + 1)->prefetch_stack();
    const epoll_event& event = events_[static_cast<std::size_t>(i)];
    Fiber* const fiber = fiber_of(i);
    if (!fiber) {
      accept();
    } else if (fiber->happened(event.events)) {
      run(*fiber);
    }
  }
  return count;
}

void Loop::wait_for_events(bool go_round_anyway) noexcept {
  if (ending_) return;
  const auto error = detail::error_of([this] {
    arm_timer();
    watch_epoll_set();
  });
  // Without memory to wait, it looks again and again.
  if ((first_ready_ || accept_again_ || go_round_anyway || error) && !round_posted_) {
    round_posted_ = true;
    boost::asio::post(context_, boost::asio::bind_allocator(round_memory_.allocator(), [this] {
                        round_posted_ = false;
                        go_round();
                      }));
  }
}

void Loop::watch_epoll_set() {
  if (waiting_for_events_) return;
  epoll_.async_wait(boost::asio::posix::descriptor_base::wait_read, [this](error_code error) {
    waiting_for_events_ = false;
    if (!error) go_round();
  });
  waiting_for_events_ = true;
}

void Loop::settle() {
  if (running_.load(std::memory_order_relaxed)) return;
  if (std::uncaught_exceptions() == 0) {  // while one is on its way, a fiber can only be made ready
    owner_.busy();
    run_ready();
  }
  wait_for_events();
}

bool Loop::running_fiber_guards(const void* address) const noexcept {
  const Fiber* const fiber = running_.load(std::memory_order_relaxed);
  return fiber && fiber->guards(address);
}

}  // namespace sockserv::inline abi_0::fiber
