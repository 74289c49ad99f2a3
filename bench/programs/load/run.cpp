#include "run.hpp"

#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <span>
#include <system_error>

namespace load {
namespace {

/// How many clients connect at a time. Less than any backlog has room for.
constexpr std::uint64_t at_once = 256;
/// How long a server may answer nobody at all.
constexpr std::chrono::seconds patience(10);
/// How long the last answers may take.
constexpr std::chrono::seconds end_limit(1);
constexpr std::chrono::milliseconds between_looks(100);

timespec time_until(Clock::time_point time) {
  const auto left = std::max<std::chrono::nanoseconds>(time - Clock::now(), std::chrono::nanoseconds(0));
  const auto seconds = std::chrono::floor<std::chrono::seconds>(left);
  return {seconds.count(), (left - seconds).count()};
}

}  // namespace

Run::Run(std::vector<std::unique_ptr<Client>> clients)
    : clients_(std::move(clients)), epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
  if (epoll_.fileno() < 0) throw std::system_error(errno, std::system_category(), "epoll_create1");
}

std::size_t Run::ask_all() {
  auto give_up = Clock::now() + patience;
  std::size_t asked = 0;
  while (asked < clients_.size() || in_flight_ > 0) {
    for (; asked < clients_.size() && in_flight_ < at_once; ++asked) {
      if (clients_[asked]) send(*clients_[asked], Clock::now());
    }
    if (in_flight_ == 0) break;  // all have failed
    const auto answers_before = result_.answers;
    turn(give_up);
    if (result_.answers > answers_before) give_up = Clock::now() + patience;
    if (Clock::now() >= give_up) break;
  }
  return in_flight_ + (clients_.size() - asked);
}

const Result& Run::measure(const Plan& plan) {
  const auto start = Clock::now();
  begin_ = start + std::chrono::duration_cast<Clock::duration>(plan.warmup);
  end_ = begin_ + std::chrono::duration_cast<Clock::duration>(plan.measured);
  if (plan.rate) {
    schedule_.emplace(*plan.rate, start);
    for (std::size_t i = 0; i < clients_.size(); ++i) {
      if (clients_[i]) clients_[i]->scheduled_ = i;
    }
  } else {
    send_all(plan.depth);
  }
  while (Clock::now() < end_ && (schedule_ || in_flight_ > 0)) turn(end_);

  // To leave replies unread would reset the connections, and that is not what the server is measured for.
  for (bool is_last = false; in_flight_ > 0 && !is_last;) {
    is_last = Clock::now() >= give_up_at();  // answers may be there all the same
    turn(give_up_at());
  }
  result_.measured = end_ - begin_;
  for (const auto& client : clients_) {
    if (client) count_as_stalled(*client);
  }
  return result_;
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

std::optional<Clock::time_point> Run::answered(Client& client, Clock::time_point due) {
  const auto now = Clock::now();
  ++result_.answers;
  --in_flight_;
  --client.in_flight_;
  client.was_in_flight_ = false;

  if (waits_for_first_answer() && now >= begin_) end_ = std::max(end_, now + Clock::duration(1));
  const auto counts = schedule_ ? due : now;
  if (counts >= begin_ && counts < end_) {
    result_.latency.record(now - due);
    ++result_.answered;
  }

  auto next = now;
  if (schedule_) {
    client.scheduled_ += clients_.size();
    next = schedule_->due(client.scheduled_);
  }
  if (next > now || next >= end_) return std::nullopt;
  ++in_flight_;
  ++client.in_flight_;
  return next;
}

/// A client that fails is dropped.
template <class Move>
void Run::attempt(Client& client, Move&& move) {
  try {
    move();
  } catch (const std::exception& error) {
    if (result_.errors++ == 0) result_.first_error = error.what();
    drop(client);
  }
}

void Run::drop(Client& client) {
  in_flight_ -= client.in_flight_;
  std::ranges::find(clients_, &client, &std::unique_ptr<Client>::get)->reset();
}

void Run::send(Client& client, Clock::time_point due) {
  ++in_flight_;
  ++client.in_flight_;
  attempt(client, [&] { client.request(*this, due); });
}

void Run::send_all(unsigned depth) {
  for (const auto& client : clients_) {
    for (unsigned i = 0; i < depth && client; ++i) send(*client, Clock::now());
  }
}

void Run::turn(Clock::time_point until) {
  if (in_flight_ > 0) until = std::min(until, next_look_);
  if (schedule_ && Clock::now() < end_) until = std::min(until, schedule_->due(next_scheduled_));
  wait(until);
  if (schedule_) send_what_is_due();
  if (in_flight_ > 0 && Clock::now() >= next_look_) look_for_overdue();
}

void Run::wait(Clock::time_point until) {
  std::array<epoll_event, 256> events;
  const timespec timeout = time_until(until);
  const int count = ::epoll_pwait2(epoll_.fileno(), events.data(), events.size(), &timeout, nullptr);
  for (const epoll_event& event : std::span(events).first(static_cast<std::size_t>(std::max(count, 0)))) {
    auto& client = *static_cast<Client*>(event.data.ptr);
    attempt(client, [&] { client.ready(*this); });
  }
}

/// The clients' turns come one after another. One that still waits for an answer sends when it has it: see answered().
void Run::send_what_is_due() {
  const auto until = std::min(Clock::now(), end_);
  for (auto due = schedule_->due(next_scheduled_); due < until; due = schedule_->due(++next_scheduled_)) {
    const auto& client = clients_[next_scheduled_ % clients_.size()];
    if (client && client->in_flight_ == 0) send(*client, due);
  }
}

/// True while there is nothing to measure. An open load measures what does not come, too.
bool Run::waits_for_first_answer() const { return !schedule_ && result_.answered == 0; }

Clock::time_point Run::give_up_at() const { return end_ + (waits_for_first_answer() ? patience : end_limit); }

/// In an open load, the requests that it could not even send are missing too. How long they would have taken is not
/// known, but at least so long.
void Run::count_as_stalled(const Client& client) {
  if (!schedule_) {
    result_.stalled += client.in_flight_;
    return;
  }
  for (auto number = client.scheduled_; schedule_->due(number) < end_; number += clients_.size()) {
    ++result_.stalled;
    if (schedule_->due(number) >= begin_) result_.latency.record(Clock::now() - schedule_->due(number));
  }
}

void Run::look_for_overdue() {
  next_look_ = Clock::now() + between_looks;
  for (const auto& client : clients_) {
    if (!client || client->in_flight_ == 0) continue;
    if (std::exchange(client->was_in_flight_, true)) attempt(*client, [&] { client->overdue(*this); });
  }
}

}  // namespace load
