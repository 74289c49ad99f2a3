#pragma once

#include "line.hpp"
#include "run.hpp"

namespace load {

/// Keeps one connection, and sends the next line when the last one has come back.
class PingPong final : public Client {
 public:
  explicit PingPong(Target& target) : target_(target) {}

  void start(Run& run) override;
  void ready(Run& run) override;

 private:
  void send_next(Run& run);

  Target& target_;
  Socket socket_;
  Line line_;
  bool sent_ = false;
  Clock::time_point begin_;
};

}  // namespace load
