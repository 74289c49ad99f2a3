#include <sockserv/detail/clock.hpp>
#include <sockserv/detail/fiber_loops.hpp>

#include <algorithm>
#include <limits>
#include <new>
#include <sockserv/detail/processors.hpp>
#include <utility>

#include "../fiber/loop.hpp"

namespace sockserv::detail {
namespace {

/// How many requests a loop accepts before it looks after those that it has.
constexpr int requests_at_a_time = 64;

/// After how many requests in a row a loop that has no other beside it stops watching the socket until none is there.
/// For a socket that is watched, the kernel calls the epoll set with each datagram that comes, and again when one that
/// went out has been read: a tenth of what a datagram costs.
constexpr int requests_of_a_burst = 8;

/// A request is worth giving to another loop if that has so many fewer.
constexpr std::size_t clearly_less = 8;

/// Work for `offload`, shared by all loops of a server. A queue without a limit: each fiber waits for one item at most.
ThreadPool::Limits offload_limits() {
  return {std::min<std::size_t>(processors() + 4, 32), std::numeric_limits<std::size_t>::max(), 0};
}

}  // namespace

FiberLoops::FiberLoops(Callbacks callbacks) : callbacks_(std::move(callbacks)) {}

FiberLoops::~FiberLoops() { stop(); }

void FiberLoops::start(const Settings& settings) {
  settings_ = settings;
  observations_.assign(settings.loops, {});
  std::vector<std::unique_ptr<fiber::Loop>> loops;
  loops.reserve(settings.loops);
  for (std::size_t i = 0; i < settings.loops; ++i) loops.push_back(std::make_unique<fiber::Loop>(*this, settings_));
  const std::scoped_lock lock(loops_mutex_);
  loops_ = std::move(loops);
}

void FiberLoops::forget() {
  Callbacks callbacks = std::move(callbacks_);
  new (this) FiberLoops(std::move(callbacks));  // to destroy the old one would be to wait for its threads
}

void FiberLoops::watch(int listener) {
  for (const auto& loop : loops_) loop->watch_listener(listener);
}

void FiberLoops::accept() noexcept {
  if (accepting_.exchange(true)) return;
  for (const auto& loop : loops_) loop->order(fiber::Loop::Order::accept);
}

void FiberLoops::stop_accepting() noexcept {
  accepting_ = false;
  const std::scoped_lock lock(accepting_mutex_);  // whoever had begun has ended now
}

/// One loop accepts at a time, since servers' hooks expect no more. Those who come too late can go: every loop hears of
/// every request, and whoever accepts goes on until there is none.
///
/// The listener is touched under the lock only: once `stop_accepting()` has had it, the listener may be closed.
void FiberLoops::accept(fiber::Loop& loop) {
  for (int accepted = 0; accepted < requests_at_a_time; ++accepted) {
    {
      const std::unique_lock lock(accepting_mutex_, std::try_to_lock);
      if (!lock || !accepting_) return;
      if (!callbacks_.may_accept()) {
        accepting_ = false;
        return callbacks_.wake();
      }
      if (accepted == requests_of_a_burst && loops_.size() == 1) loop.pause_watching();
      if (!callbacks_.accept()) {
        if (loop.resume_watching()) loop.accept_again();  // without memory to watch, it looks repeatedly
        return;
      }
    }
    loop.run_ready();  // at once, while it is in the processor's cache
  }
  loop.accept_again();
}

void FiberLoops::submit(std::unique_ptr<FiberTask>& task) {
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

bool FiberLoops::wait_until_none(time_point deadline) {
  std::unique_lock lock(none_left_mutex_);
  return none_left_.wait_until(lock, deadline, [this] { return running_ == 0; });
}

void FiberLoops::abort() noexcept {
  aborted_ = true;
  const std::scoped_lock lock(loops_mutex_);
  for (const auto& loop : loops_) loop->order(fiber::Loop::Order::abort);
}

void FiberLoops::stop() {
  wait_until_none();
  for (const auto& loop : loops_) loop->stop();
  offloaded_.stop();
}

void FiberLoops::offload(std::unique_ptr<ThreadTask>& work) { offloaded_.submit(work, offload_limits()); }

void FiberLoops::busy() noexcept {
  if (settings_.stall_threshold == duration::zero() || watching_.load(std::memory_order_relaxed)) return;
  if (!watching_.exchange(true)) callbacks_.wake();
}

std::optional<FiberLoops::duration> FiberLoops::look_interval() const noexcept {
  if (!watching_ && !last_look_) return std::nullopt;
  return std::max<duration>(settings_.stall_threshold / 2, std::chrono::milliseconds(1));
}

/// A fiber that has been running since the last looks, without a change, for as long as the threshold, has stalled its
/// loop. When nothing has run between two looks there is no more to see, until a loop says that it is busy. One that
/// did not say it, since it was watched, and had not begun when it was looked at, is seen by a last look.
void FiberLoops::look_for_stalls() {
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
      if (client) callbacks_.stalled(*client, now - observation.since);
      observation.reported = true;
    }
  }
  last_look_ = watching_.exchange(anything) && !anything;
}

}  // namespace sockserv::detail
