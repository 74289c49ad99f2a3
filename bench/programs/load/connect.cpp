#include "connect.hpp"

#include <sys/epoll.h>

#include <cerrno>
#include <stdexcept>
#include <system_error>

namespace load {
namespace {

/// True if the stream has ended, false if that is yet to come.
bool at_end(const Socket& socket) {
  char byte = 0;
  const ssize_t result = ::recv(socket.fileno(), &byte, 1, 0);
  if (result == 0) return true;
  if (result > 0) throw std::runtime_error("the server has sent more than the line");
  if (errno != EAGAIN) throw std::system_error(errno, std::system_category(), "recv");
  return false;
}

}  // namespace

void Connect::request(Run& run, Clock::time_point due) {
  due_ = due;
  socket_ = target_.connect();
  line_.renew();
  const bool sent = line_.send(socket_);
  waiting_ = sent ? Waiting::for_reply : Waiting::to_send;
  run.watch(socket_, *this, sent ? EPOLLIN : EPOLLIN | EPOLLOUT);
}

void Connect::ready(Run& run) {
  switch (waiting_) {
    case Waiting::to_send:
      if (line_.send(socket_)) waiting_ = Waiting::for_reply;
      [[fallthrough]];  // a server may take no more until its answer has been taken
    case Waiting::for_reply:
      if (!line_.receive(socket_)) break;
      ::shutdown(socket_.fileno(), SHUT_WR);
      waiting_ = Waiting::for_end;
      break;
    case Waiting::for_end:
      if (!at_end(socket_)) break;
      socket_ = Socket();
      if (const auto next = run.answered(*this, due_)) request(run, *next);
      break;
  }
}

}  // namespace load
