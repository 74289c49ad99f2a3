#include "awaited_clients.hpp"

#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <sockserv/detail/deadline.hpp>
#include <sockserv/error.hpp>
#include <utility>

#include "../base/closed_together.hpp"

namespace sockserv::inline abi_0::detail {

void AwaitedClients::open(std::size_t limit, bool one_at_a_time) noexcept {
  limit_ = std::max<std::size_t>(limit, 1);
  one_at_a_time_ = one_at_a_time;
  is_open_ = true;
}

bool AwaitedClients::may_accept() const {
  if (size_ == 0) return true;
  const time_point time = opens_at();
  return time == time_point::min() || time <= now();
}

AwaitedClients::time_point AwaitedClients::opens_at() const {
  constexpr std::size_t most_halvings = 20;
  if (!ready_.empty()) return time_point::max();
  time_point time = time_point::min();
  if (waiting_.empty()) return time;
  if (waiting_.size() >= limit_) time = waiting_.front().client.since() + shortest_wait;
  if (one_at_a_time_) {
    time = std::max(time, newest_since_ + shortest_wait / (1 << std::min(waiting_.size() - 1, most_halvings)));
  }
  return time;
}

bool AwaitedClients::add(Connection& connection, const Address& client_address) noexcept {
  const auto error = error_of([&] {
    if (!epoll_) epoll_ = Descriptor(::epoll_create1(EPOLL_CLOEXEC));
    std::list<Entry> one;
    Entry& entry = one.emplace_back(connection, client_address, now());
    entry.place = one.begin();
    epoll_event event{};
    event.events = EPOLLIN | EPOLLRDHUP | EPOLLET;
    event.data.ptr = &entry;
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, entry.client.fileno(), &event) != 0) {
      connection = std::move(entry.client.connection());
      throw_error(last_system_error(), "watching a client");
    }
    if (waiting_.size() >= limit_) end_wait(waiting_.front(), 0, true);
    newest_since_ = entry.client.since();
    const auto is_before = [&](const Entry& other) { return other.client.deadline() <= entry.client.deadline(); };
    const auto before = std::find_if(waiting_.rbegin(), waiting_.rend(), is_before);  // most have the same time
    waiting_.splice(before.base(), one);
    ++size_;
  });
  return !error;
}

void AwaitedClients::shorten(duration wait) noexcept {
  for (Entry& each : waiting_) each.client.shorten(deadline_after(wait, each.client.since()));
  waiting_.sort([](const Entry& one, const Entry& other) { return one.client.deadline() < other.client.deadline(); });
}

/// Closing alone would leave it in the epoll set, if somebody else has a copy of the descriptor.
void AwaitedClients::stop_watching(const Entry& entry) noexcept {
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, entry.client.fileno(), nullptr);
}

/// If the client has sent enough, or if its time is over.
void AwaitedClients::end_wait(Entry& entry, std::uint32_t events, bool is_over) noexcept {
  const bool is_ready = entry.client.has_enough(events);
  if (!is_ready && !is_over) return;
  stop_watching(entry);
  if (is_ready) entry.client.stop_clock();
  std::list<Entry>& next = is_ready ? ready_ : late_;
  next.splice(next.end(), waiting_, entry.place);
}

void AwaitedClients::look() noexcept {
  if (waiting_.empty()) return;
  std::array<epoll_event, 64> events;
  const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 0);
  for (int index = 0; index < count; ++index) {
    const epoll_event& event = events[static_cast<std::size_t>(index)];
    end_wait(*static_cast<Entry*>(event.data.ptr), event.events, false);
  }
  const time_point time = now();
  while (!waiting_.empty() && waiting_.front().client.deadline() <= time) end_wait(waiting_.front(), 0, true);
}

AwaitedClient AwaitedClients::take(std::list<Entry>& from) noexcept {
  AwaitedClient client = std::move(from.front().client);
  from.pop_front();
  --size_;
  return client;
}

AwaitedClient AwaitedClients::take_waiting() noexcept {
  stop_watching(waiting_.front());
  return take(waiting_);
}

AwaitedClients::Watch AwaitedClients::watch() const noexcept {
  if (waiting_.empty()) return {};
  return {epoll_.get(), waiting_.front().client.deadline()};
}

void AwaitedClients::become_child(ClosedTogether& unneeded) noexcept {
  unneeded.add(epoll_.release());
  for (const auto* list : {&waiting_, &ready_, &late_}) {
    for (const Entry& each : *list) unneeded.add(each.client.fileno());
  }
}

}  // namespace sockserv::inline abi_0::detail
