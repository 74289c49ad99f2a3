#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "histogram.hpp"
#include "target.hpp"

namespace load {

using Clock = std::chrono::steady_clock;

/// How long to measure. The warm-up begins when every client has been answered once.
struct Period {
  std::chrono::duration<double> warmup;
  std::chrono::duration<double> measured;
};

struct Result {
  std::chrono::duration<double> seconds{};
  Histogram latency;        ///< One value for each request answered within the measured time.
  std::size_t errors = 0;   ///< Clients that failed; none of them was replaced.
  std::size_t stalled = 0;  ///< Clients that still had no answer a second after the end.
  std::string first_error;
};

class Run;

/// One of the clients of a run; each mode has a kind of its own. It has one socket at a time.
///
/// Errors: what `start` or `ready` throws ends this client and is counted.
class Client {
 public:
  virtual ~Client() = default;
  /// Makes the first move.
  virtual void start(Run& run) = 0;
  /// The client's socket is ready for what was awaited, or has failed.
  virtual void ready(Run& run) = 0;

 private:
  friend class Run;
  Clock::time_point last_answer_{};
};

/// Clients in one thread and one epoll set, for a while.
class Run {
 public:
  explicit Run(std::vector<std::unique_ptr<Client>> clients);

  /// To be called once.
  /// @throws std::runtime_error if some clients are not answered at all.
  Result measure(const Period& period);

  /// @name For clients
  /// @{

  /// Calls `client.ready()` when `events` (EPOLLIN, EPOLLOUT) come to pass, each time anew: the registration is
  /// edge-triggered, and ends when the socket is closed.
  void watch(const Socket& socket, Client& client, std::uint32_t events);
  /// The same for a socket that is watched already.
  void rewatch(const Socket& socket, Client& client, std::uint32_t events);

  /// The client has its answer; the request began at `begin`. False if there is to be no other.
  bool answered(Client& client, Clock::time_point begin);
  /// @}

 private:
  void control(int operation, const Socket& socket, Client& client, std::uint32_t events);
  bool attempt(Client& client, void (Client::*move)(Run&));
  void turn(Clock::time_point until);
  std::size_t count_unanswered_since(Clock::time_point time) const;

  std::vector<std::unique_ptr<Client>> clients_;  // those that have not failed
  Socket epoll_;
  Clock::time_point begin_ = Clock::time_point::max();
  Clock::time_point end_ = Clock::time_point::max();
  Result result_;
};

}  // namespace load
