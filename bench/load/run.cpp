#include "run.hpp"

#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <span>
#include <stdexcept>
#include <system_error>

namespace load {
namespace {

/// How long a server may take to answer every client once.
constexpr std::chrono::seconds start_limit(10);
/// How long the last answers may take.
constexpr std::chrono::seconds end_limit(1);

int milliseconds_until(Clock::time_point time) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(time - Clock::now()).count();
  return static_cast<int>(std::max<std::int64_t>(left, 0));
}

}  // namespace

Run::Run(std::vector<std::unique_ptr<Client>> clients)
    : clients_(std::move(clients)), epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
  if (epoll_.fileno() < 0) throw std::system_error(errno, std::system_category(), "epoll_create1");
}

Result Run::measure(const Period& period) {
  const auto start = Clock::now();
  std::erase_if(clients_, [this](const auto& client) { return !attempt(*client, &Client::start); });
  while (const std::size_t unanswered = count_unanswered_since(start)) {
    if (Clock::now() >= start + start_limit) {
      throw std::runtime_error(std::to_string(unanswered) + " clients were not answered within 10 seconds");
    }
    turn(start + start_limit);
  }

  begin_ = Clock::now() + std::chrono::duration_cast<Clock::duration>(period.warmup);
  end_ = begin_ + std::chrono::duration_cast<Clock::duration>(period.measured);
  while (!clients_.empty() && Clock::now() < end_) turn(end_);

  // To leave replies unread would reset the connections, and that is not what the server is measured for.
  while (count_unanswered_since(end_) > 0 && Clock::now() < end_ + end_limit) turn(end_ + end_limit);

  result_.seconds = period.measured;
  result_.stalled = count_unanswered_since(end_);
  return std::move(result_);
}

void Run::watch(const Socket& socket, Client& client, std::uint32_t events) {
  control(EPOLL_CTL_ADD, socket, client, events);
}

void Run::rewatch(const Socket& socket, Client& client, std::uint32_t events) {
  control(EPOLL_CTL_MOD, socket, client, events);
}

void Run::control(int operation, const Socket& socket, Client& client, std::uint32_t events) {
  epoll_event event{};
  event.events = events | EPOLLET;
  event.data.ptr = &client;
  if (::epoll_ctl(epoll_.fileno(), operation, socket.fileno(), &event) != 0) {
    throw std::system_error(errno, std::system_category(), "epoll_ctl");
  }
}

bool Run::answered(Client& client, Clock::time_point begin) {
  const auto now = Clock::now();
  client.last_answer_ = now;
  if (now >= begin_ && now < end_) result_.latency.record(now - begin);
  return now < end_;
}

/// False if the client has failed, and is to be dropped.
bool Run::attempt(Client& client, void (Client::*move)(Run&)) {
  try {
    (client.*move)(*this);
    return true;
  } catch (const std::exception& error) {
    if (result_.errors++ == 0) result_.first_error = error.what();
    return false;
  }
}

void Run::turn(Clock::time_point until) {
  std::array<epoll_event, 256> events;
  const int count = ::epoll_wait(epoll_.fileno(), events.data(), events.size(), milliseconds_until(until));
  for (const epoll_event& event : std::span(events).first(static_cast<std::size_t>(std::max(count, 0)))) {
    auto* const client = static_cast<Client*>(event.data.ptr);
    if (attempt(*client, &Client::ready)) continue;
    std::erase_if(clients_, [client](const auto& each) { return each.get() == client; });
  }
}

std::size_t Run::count_unanswered_since(Clock::time_point time) const {
  return static_cast<std::size_t>(
      std::ranges::count_if(clients_, [time](const auto& client) { return client->last_answer_ < time; }));
}

}  // namespace load
