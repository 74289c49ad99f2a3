#pragma once

#include <cstddef>

#include "line.hpp"
#include "run.hpp"

namespace load {

/// Keeps one connection, or for datagrams one socket, with one line in flight. A datagram that seems to be lost is sent
/// again.
class PingPong final : public Client {
 public:
  PingPong(Target& target, std::size_t size) : target_(target), line_(size) {}

  void request(Run& run, Clock::time_point due) override;
  void ready(Run& run) override;
  void overdue(Run& run) override;

 private:
  bool send() { return target_.is_stream() ? line_.send(socket_) : line_.send_datagram(socket_); }
  bool receive() { return target_.is_stream() ? line_.receive(socket_) : line_.receive_datagram(socket_); }

  Target& target_;
  Socket socket_;
  Line line_;
  bool sent_ = false;
  Clock::time_point due_;
};

}  // namespace load
