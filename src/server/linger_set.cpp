#include "linger_set.hpp"

#include <poll.h>
#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <sockserv/detail/deadline.hpp>
#include <sockserv/error.hpp>

#include "../base/closed_together.hpp"

namespace sockserv::inline abi_0::detail {
namespace {

constexpr std::chrono::milliseconds longest_wait(100);

}  // namespace

/// With the mutex held.
void LingerSet::prepare() {
  if (!scratch_) scratch_ = std::make_unique_for_overwrite<char[]>(scratch_size);
  if (!epoll_) epoll_ = Descriptor(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_) throw_error(last_system_error(), "an epoll set for connections that linger");
}

void LingerSet::add(Connection& connection, const ServerOptions& options) {
  {
    const std::scoped_lock lock(mutex_);
    prepare();
    epoll_event event{};
    event.events = EPOLLIN | EPOLLRDHUP;
    std::list<Lingering> one;
    one.emplace_back(std::move(connection), options, now());
    event.data.ptr = &one.front();
    // Only the limits end one that cannot be watched.
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, one.front().fileno(), &event);
    connections_.splice(connections_.end(), one);
    if (++size_ > 1) return;
  }
  on_first_();
}

/// Closing alone would leave it in the epoll set, if somebody else has a copy of the descriptor.
void LingerSet::stop_watching(const Lingering& connection) noexcept {
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, connection.fileno(), nullptr);
}

void LingerSet::serve() noexcept {
  if (size_ == 0) return;
  std::list<Lingering> done;
  {
    const std::scoped_lock lock(mutex_);
    std::array<epoll_event, 64> events;
    const auto time = now();
    const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 0);
    for (int index = 0; index < count; ++index) {
      static_cast<Lingering*>(events[static_cast<std::size_t>(index)].data.ptr)
          ->discard({scratch_.get(), scratch_size}, time);
    }
    for (auto each = connections_.begin(); each != connections_.end();) {
      const auto here = each++;
      if (!here->is_over(time)) continue;
      stop_watching(*here);
      done.splice(done.end(), connections_, here);
    }
  }
  const std::size_t count = done.size();
  done.clear();
  size_ -= count;  // the last touch: who waits for this may destroy the set
}

void LingerSet::serve_until_empty() noexcept {
  while (size_ > 0) {
    const Watch watched = watch();
    pollfd readable{watched.descriptor, POLLIN, 0};
    // Another thread may have taken the last one, and be about to close it.
    ::poll(&readable, 1, milliseconds_until(std::min(watched.deadline, now() + longest_wait)));
    serve();
  }
}

void LingerSet::close() noexcept {
  std::list<Lingering> done;
  {
    const std::scoped_lock lock(mutex_);
    for (const Lingering& each : connections_) stop_watching(each);
    done.swap(connections_);
  }
  const std::size_t count = done.size();
  done.clear();
  size_ -= count;
}

LingerSet::Watch LingerSet::watch() const {
  if (size_ == 0) return {};
  const std::scoped_lock lock(mutex_);
  Watch watched{.descriptor = epoll_.get()};
  for (const Lingering& each : connections_) watched.deadline = std::min(watched.deadline, each.deadline());
  return watched;
}

void LingerSet::become_child(ClosedTogether& unneeded) noexcept {
  unneeded.add(epoll_.release());
  for (const Lingering& each : connections_) unneeded.add(each.fileno());
}

}  // namespace sockserv::inline abi_0::detail
