#include "pipeline.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>

#include <array>
#include <cstddef>

namespace load {

void Pipeline::request(Run& run, Clock::time_point due) {
  if (socket_.fileno() < 0) {
    socket_ = target_.connect();
    // Otherwise the kernel keeps lines back until others have been acknowledged. A Unix socket has no such option.
    const int no_delay = 1;
    ::setsockopt(socket_.fileno(), IPPROTO_TCP, TCP_NODELAY, &no_delay, sizeof no_delay);
    run.watch(socket_, *this, EPOLLIN);
  }
  append(due);
  send(run);
}

void Pipeline::ready(Run& run) {
  if (unsent_ > 0) send(run);
  receive(run);
  if (unsent_ > 0) send(run);
}

void Pipeline::append(Clock::time_point due) {
  line_.renew();
  awaited_ += line_.text();
  unsent_ += line_.size();
  due_.push_back(due);
}

void Pipeline::send(Run& run) {
  const std::string_view unsent = std::string_view(awaited_).substr(awaited_.size() - unsent_);
  unsent_ -= count_of(::send(socket_.fileno(), unsent.data(), unsent.size(), MSG_NOSIGNAL), "send");
  if (unsent_ > 0) run.rewatch(socket_, *this, EPOLLIN | EPOLLOUT);
}

void Pipeline::receive(Run& run) {
  std::array<char, 16384> buffer;
  std::string_view received;
  do {
    received = receive_some(socket_, buffer);
    take(run, received);
  } while (received.size() == buffer.size());
}

void Pipeline::take(Run& run, std::string_view received) {
  if (received != std::string_view(awaited_).substr(came_, received.size())) throw NotTheLine();
  came_ += received.size();
  const std::size_t lines = came_ / line_.size();
  awaited_.erase(0, lines * line_.size());
  came_ %= line_.size();
  for (std::size_t i = 0; i < lines; ++i) {
    const auto due = due_.front();
    due_.pop_front();
    if (const auto next = run.answered(*this, due)) append(*next);
  }
}

}  // namespace load
