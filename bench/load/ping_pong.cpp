#include "ping_pong.hpp"

#include <sys/epoll.h>

namespace load {

void PingPong::start(Run& run) {
  socket_ = target_.connect();
  run.watch(socket_, *this, EPOLLIN);
  send_next(run);
}

void PingPong::ready(Run& run) {
  if (!sent_) {
    sent_ = line_.send(socket_);
  } else if (line_.receive(socket_) && run.answered(*this, begin_)) {
    send_next(run);
  }
}

void PingPong::send_next(Run& run) {
  begin_ = Clock::now();
  line_.renew();
  sent_ = line_.send(socket_);
  // Only who needs it waits for room: for other than TCP, the kernel announces it after each line.
  if (!sent_) run.rewatch(socket_, *this, EPOLLIN | EPOLLOUT);
}

}  // namespace load
