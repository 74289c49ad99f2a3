#include "ping_pong.hpp"

#include <sys/epoll.h>

namespace load {

void PingPong::request(Run& run, Clock::time_point due) {
  if (socket_.fileno() < 0) {
    socket_ = target_.connect();
    run.watch(socket_, *this, EPOLLIN);
  }
  due_ = due;
  line_.renew();
  sent_ = send();
  // Only who needs it waits for room: for other than TCP, the kernel announces it after each line.
  if (!sent_) run.rewatch(socket_, *this, EPOLLIN | EPOLLOUT);
}

void PingPong::ready(Run& run) {
  if (!sent_) sent_ = send();
  // Even if not all has been sent: a server may take no more until its answer has been taken.
  if (receive() && waits_for_answer()) {
    if (const auto next = run.answered(*this, due_)) request(run, *next);
  }
}

void PingPong::overdue(Run& run) {
  if (!target_.is_stream() && sent_ && line_.send_datagram(socket_)) run.lost();
}

}  // namespace load
