#include "awaited_clients.hpp"

#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <sockserv/detail/clock.hpp>
#include <sockserv/error.hpp>
#include <utility>

#include "../base/closed_together.hpp"

namespace sockserv::inline abi_0::detail {

void AwaitedClients::open(std::size_t limit, bool one_at_a_time) noexcept {
  limit_ = std::max<std::size_t>(limit, 1);
  one_at_a_time_ = one_at_a_time;
  is_open_ = true;
}

void AwaitedClients::close() noexcept {
  is_open_ = false;
  for (const Entry& each : waiting_) stop_watching(each);
  waiting_.clear();
  ready_.clear();
  size_ = 0;
}

bool AwaitedClients::may_accept() const {
  if (size_ == 0) return true;
  const time_point time = opens_at();
  return time == time_point::min() || time <= now();
}

AwaitedClients::time_point AwaitedClients::opens_at() const {
  const bool is_alone = one_at_a_time_ && size_ == 1;
  if (size_ < limit_ && !is_alone) return time_point::min();
  return waiting_.empty() ? time_point::max() : waiting_.front().client.since() + moment;
}

bool AwaitedClients::add(Connection& connection, const Address& client_address) noexcept {
  const auto error = error_of([&] {
    if (!epoll_) epoll_ = Descriptor(::epoll_create1(EPOLL_CLOEXEC));
    std::list<Entry> one;
    one.push_back({AwaitedClient(std::move(connection), client_address, now())});
    Entry& entry = one.front();
    entry.place = one.begin();
    epoll_event event{};
    event.events = EPOLLIN | EPOLLRDHUP | EPOLLET;
    event.data.ptr = &entry;
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, entry.client.fileno(), &event) != 0) {
      connection = std::move(entry.client.connection());
      throw_error(last_system_error(), "watching a client");
    }
    waiting_.splice(waiting_.end(), one);
    ++size_;
  });
  return !error;
}

void AwaitedClients::hurry(std::chrono::steady_clock::duration grace) noexcept {
  is_hurried_ = true;
  for (Entry& each : waiting_) each.client.shorten(each.client.since() + grace);
}

/// Closing alone would leave it in the epoll set, if somebody else has a copy of the descriptor.
void AwaitedClients::stop_watching(const Entry& entry) noexcept {
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, entry.client.fileno(), nullptr);
}

void AwaitedClients::look() {
  if (waiting_.empty()) return;
  std::array<epoll_event, 64> events;
  const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 0);
  for (int index = 0; index < count; ++index) {
    const epoll_event& event = events[static_cast<std::size_t>(index)];
    const Entry& entry = *static_cast<Entry*>(event.data.ptr);
    if (!entry.client.can_go_on(event.events)) continue;
    stop_watching(entry);
    ready_.splice(ready_.end(), waiting_, entry.place);
  }
}

std::optional<AwaitedClients::Done> AwaitedClients::next(bool want_ready) {
  if (want_ready && !ready_.empty()) return take(ready_);
  while (!waiting_.empty() && (size_ > limit_ || waiting_.front().client.deadline() <= now())) {
    Done late = take(waiting_);
    if (!is_hurried_) return late;
  }
  return std::nullopt;
}

AwaitedClients::Done AwaitedClients::take(std::list<Entry>& from) {
  const bool is_late = &from == &waiting_;
  if (is_late) stop_watching(from.front());
  Done done{std::move(from.front().client), is_late};
  from.pop_front();
  --size_;
  return done;
}

AwaitedClients::Watch AwaitedClients::watch() const noexcept {
  if (waiting_.empty()) return {};
  return {epoll_.get(), waiting_.front().client.deadline()};
}

void AwaitedClients::become_child(ClosedTogether& unneeded) noexcept {
  unneeded.add(epoll_.release());
  for (const auto* list : {&waiting_, &ready_}) {
    for (const Entry& each : *list) unneeded.add(each.client.fileno());
  }
}

}  // namespace sockserv::inline abi_0::detail
