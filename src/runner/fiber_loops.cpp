#include "fiber_loops.hpp"

#include <sockserv/detail/clock.hpp>

#include <algorithm>
#include <boost/thread/exceptions.hpp>
#include <limits>
#include <sockserv/address.hpp>
#include <sockserv/detail/processors.hpp>
#include <sockserv/detail/settings.hpp>
#include <sockserv/detail/text.hpp>
#include <stdexcept>
#include <string>
#include <utility>

#include "../transport/fiber/loop.hpp"

namespace sockserv::inline abi_0::detail {
namespace {

/// How many requests a loop accepts before it looks after those that it has.
constexpr int requests_at_a_time = 64;

/// After this many accepts in a row a server with a single loop stops watching the listener, until nothing is left to
/// accept.
/// For a socket that is watched, the kernel calls the epoll set with each datagram that comes, and again when one that
/// went out has been read: a tenth of what a datagram costs.
constexpr int requests_of_a_burst = 8;

/// A request moves to another loop only if that loop has this many requests fewer.
constexpr std::size_t clearly_less = 8;

constexpr Runner::duration longest_busy_poll = std::chrono::milliseconds(1);

/// Work for `offload`, shared by all loops of a server. A queue without a limit: each fiber waits for one item at most.
ThreadPool::Limits offload_limits() {
  return {std::min<std::size_t>(processors() + 4, 32), std::numeric_limits<std::size_t>::max(), 0};
}

}  // namespace

FiberLoops::FiberLoops(std::function<FibersSettings()> settings, std::function<void()> wake, LogFunction log)
    : get_settings_(std::move(settings)), wake_(std::move(wake)), log_(std::move(log)) {}

void FiberLoops::start_loops() {
  if (!loops_.empty()) return;
  settings_ = get_settings_();
  observations_.assign(settings_.loops, {});
  turns_.assign(settings_.loops, 0);
  std::vector<std::unique_ptr<fiber::Loop>> loops;
  loops.reserve(settings_.loops);
  for (std::size_t i = 0; i < settings_.loops; ++i) loops.push_back(std::make_unique<fiber::Loop>(*this, settings_));
  const std::scoped_lock lock(loops_mutex_);
  loops_ = std::move(loops);
}

void FiberLoops::start(Acceptor& acceptor) {
  start_loops();
  acceptor_ = &acceptor;
  for (const auto& loop : loops_) loop->watch_listener(acceptor.listener());
}

bool FiberLoops::accept() {
  if (accepting_.exchange(true)) return true;
  for (const auto& loop : loops_) loop->order(fiber::Loop::Order::accept);
  return true;
}

void FiberLoops::stop_accepting(bool /*to_drain*/) noexcept {
  accepting_ = false;
  const std::scoped_lock lock(accepting_mutex_);  // waits for the loop that is accepting
}

/// A hook may throw the interruption of a thread, meaning its request; the thread is the loop's.
bool FiberLoops::accept_one() {
  try {
    return acceptor_->accept();
  } catch (const boost::thread_interrupted&) {
    return true;
  }
}

/// One loop accepts at a time, since servers' hooks expect no more. Those who come too late can go: every loop hears of
/// every request, and the loop that accepts goes on until there is none.
///
/// The listener is touched under the lock only: once `stop_accepting()` has had it, the listener may be closed.
void FiberLoops::accept(fiber::Loop& loop) {
  for (int accepted = 0; accepted < requests_at_a_time; ++accepted) {
    {
      const std::unique_lock lock(accepting_mutex_, std::try_to_lock);
      if (!lock || !accepting_) return;
      if (!acceptor_->may_accept()) {
        accepting_ = false;
        return wake_();
      }
      if (accepted == requests_of_a_burst && loops_.size() == 1) loop.pause_watching();
      if (!accept_one()) {
        if (loop.resume_watching()) loop.accept_again();  // without memory to watch, it looks repeatedly
        return;
      }
    }
    loop.run_ready();  // at once, while it is in the processor's cache
  }
  loop.accept_again();
}

void FiberLoops::run(std::unique_ptr<Task>& task) {
  start_loops();  // serve_forever() has; handle_request() has not
  const auto idlest = std::min_element(loops_.begin(), loops_.end(),
                                       [](const auto& one, const auto& other) { return one->load() < other->load(); });
  fiber::Loop* const calling = fiber::Loop::current();
  const bool stays = calling && &calling->owner() == this && calling->load() < (*idlest)->load() + clearly_less;
  ++running_;
  try {
    (stays ? *calling : **idlest).start(task);
  } catch (...) {
    done();
    throw;
  }
}

void FiberLoops::done() noexcept {
  if (--running_ > 0) return;
  const std::scoped_lock lock(none_left_mutex_);
  none_left_.notify_all();
}

bool FiberLoops::wait_until_idle(time_point deadline) {
  std::unique_lock lock(none_left_mutex_);
  return none_left_.wait_until(lock, deadline, [this] { return running_ == 0; });
}

std::size_t FiberLoops::abort(bool) noexcept {
  aborted_ = true;
  const std::scoped_lock lock(loops_mutex_);
  for (const auto& loop : loops_) loop->order(fiber::Loop::Order::abort);
  return 0;
}

FiberLoops::~FiberLoops() {
  wait_until_idle(time_point::max());
  for (const auto& loop : loops_) loop->stop();
  offloaded_.stop();
}

void FiberLoops::offload(std::unique_ptr<Task>& work) { offloaded_.submit(work, offload_limits()); }

void FiberLoops::busy() noexcept {
  if (settings_.stall_threshold == duration::zero() || watching_.load(std::memory_order_relaxed)) return;
  if (!watching_.exchange(true)) wake_();
}

Runner::Watch FiberLoops::watch() {
  if (!watching_ && !last_look_) return {};
  return {.interval = std::max<duration>(settings_.stall_threshold / 2, std::chrono::milliseconds(1))};
}

/// A fiber that has been running since the last looks, without a change, for as long as the threshold, has stalled its
/// loop. When nothing has run between two looks there is no more to see, until a loop says that it is busy. One that
/// did not say it, since it was watched, and had not begun when it was looked at, is seen by a last look.
void FiberLoops::collect() {
  if (!watching_ && !last_look_) return;
  const auto now = detail::now();
  bool anything = false;
  for (std::size_t i = 0; i < loops_.size(); ++i) {
    const auto snapshot = loops_[i]->snapshot();
    Observation& observation = observations_[i];
    anything = anything || snapshot.running || snapshot.turn != observation.turn;
    if (!snapshot.running || !observation.running || snapshot.turn != observation.turn) {
      observation = {snapshot.turn, now, snapshot.running, false};
    } else if (!observation.reported && now - observation.since >= settings_.stall_threshold) {
      const auto client = loops_[i]->client_of(snapshot.turn);
      if (client) report_stall(*client, now - observation.since);
      observation.reported = true;
    }
  }
  last_look_ = watching_.exchange(anything) && !anything;
}

bool FiberLoops::is_responsive() {
  bool all = true;
  for (std::size_t i = 0; i < loops_.size(); ++i) {
    const auto snapshot = loops_[i]->snapshot();
    if (std::exchange(turns_[i], snapshot.turn) == snapshot.turn && snapshot.running) all = false;
  }
  return all;
}

void FiberLoops::report_stall(const Address& client, duration length) const {
  log_(LogLevel::warning, [&] {
    const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(length).count();
    return type_name(*settings_.handler) + ", serving " + client.to_string() + ", has kept its thread for " +
           std::to_string(milliseconds) +
           " ms without waiting, and holds up all other requests there; hand such work to "
           "sockserv::this_request::offload()";
  });
}

std::unique_ptr<Runner> make_fibers(std::function<FibersSettings()> settings, std::function<void()> wake,
                                    LogFunction log) {
  return std::make_unique<FiberLoops>(std::move(settings), std::move(wake), std::move(log));
}

void check(const FibersSettings& settings) {
  require_within("loops", settings.loops, 1, most_processors);
  check_fiber_stack(settings.stack_size);
  require_not_negative("stall_threshold", settings.stall_threshold);
  if (settings.busy_poll < Runner::duration::zero() || settings.busy_poll > longest_busy_poll) {
    throw std::invalid_argument("busy_poll is negative, or more than a millisecond");
  }
}

}  // namespace sockserv::inline abi_0::detail
