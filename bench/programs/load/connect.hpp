#pragma once

#include <cstddef>

#include "line.hpp"
#include "run.hpp"

namespace load {

/// Connects, sends a line, waits for it to come back, ends the stream, waits for the server to end it too; and again.
/// All of this is one request.
///
/// It is the client that closes first, as most do. A reset would be cheaper, but a server is right to take that for an
/// error.
class Connect final : public Client {
 public:
  Connect(Target& target, std::size_t size) : target_(target), line_(size) {}

  void request(Run& run, Clock::time_point due) override;
  void ready(Run& run) override;

 private:
  enum class Waiting { to_send, for_reply, for_end };

  Target& target_;
  Socket socket_;
  Line line_;
  Waiting waiting_ = Waiting::to_send;
  Clock::time_point due_;
};

}  // namespace load
