#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <string_view>

#include "line.hpp"
#include "run.hpp"

namespace load {

/// Keeps one connection, with several lines in flight. For all replies that have come at a time, as many new lines are
/// sent, in one write.
class Pipeline final : public Client {
 public:
  Pipeline(Target& target, std::size_t size) : target_(target), line_(size) {}

  void request(Run& run, Clock::time_point due) override;
  void ready(Run& run) override;

 private:
  void append(Clock::time_point due);
  void send(Run& run);
  void receive(Run& run);
  void take(Run& run, std::string_view received);

  Target& target_;
  Socket socket_;
  Line line_;
  std::string awaited_;                // the lines that have not come back yet
  std::size_t came_ = 0;               // how many bytes at its beginning have
  std::size_t unsent_ = 0;             // how many bytes at its end have not even been sent
  std::deque<Clock::time_point> due_;  // for each of the lines
};

}  // namespace load
