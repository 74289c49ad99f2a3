#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "histogram.hpp"
#include "schedule.hpp"
#include "target.hpp"

namespace load {

/// What to measure.
struct Plan {
  std::chrono::duration<double> warmup;
  std::chrono::duration<double> measured;
  std::optional<double> rate;  ///< Requests per second of all clients together; without it, the load is closed.
  unsigned depth = 1;          ///< Requests that a client has in flight. More than one need a closed load.
};

struct Result {
  Histogram latency;                         ///< A value for each request of the measured time.
  std::uint64_t answered = 0;                ///< How many of them have been answered.
  std::uint64_t answers = 0;                 ///< To all requests, also before and after the measured time.
  std::chrono::duration<double> measured{};  ///< How long that was.
  std::size_t stalled = 0;                   ///< How many still had no answer a second after the end.
  std::size_t errors = 0;                    ///< Clients that failed; none of them was replaced.
  std::size_t lost = 0;                      ///< Datagrams that were sent again because no answer came.
  std::string first_error;
};

class Run;

/// One of the clients of a run; each mode has a kind of its own. It has one socket at a time.
///
/// Errors: what one of these functions throws ends this client and is counted.
class Client {
 public:
  virtual ~Client() = default;
  /// Sends a request, which was due at that time. The first time, connects before that.
  virtual void request(Run& run, Clock::time_point due) = 0;
  /// The client's socket is ready for what was awaited, or has failed.
  virtual void ready(Run& run) = 0;
  /// A request has had no answer for 0.1 seconds or more; called every 0.1 seconds until it has one.
  virtual void overdue(Run&) {}

 protected:
  bool waits_for_answer() const noexcept { return in_flight_ > 0; }

 private:
  friend class Run;
  unsigned in_flight_ = 0;
  bool was_in_flight_ = false;   // at the last look for what is overdue
  std::uint64_t scheduled_ = 0;  // the request in flight or, if there is none, the next one; in an open load
};

/// Clients in one thread and one epoll set, for a while.
class Run {
 public:
  explicit Run(std::vector<std::unique_ptr<Client>> clients);

  /// Has each client make one request, so many at a time that no server's backlog overflows.
  /// @returns how many clients were not answered, because nobody was for 10 seconds.
  std::size_t ask_all();

  /// Puts the server under load. To be called once, when all have been answered. The measured time of a closed load in
  /// which nobody was answered lasts until somebody is: on a busy machine, this program may not run for that long.
  const Result& measure(const Plan& plan);

  /// Lets things happen (perhaps a server closes a connection) until then, or a little less long.
  void turn(Clock::time_point until);

  /// So far.
  const Result& result() const noexcept { return result_; }

  /// @name For clients
  /// @{

  /// Calls `client.ready()` when `events` (EPOLLIN, EPOLLOUT) come to pass, each time anew: the registration is
  /// edge-triggered, and ends when the socket is closed.
  void watch(const Socket& socket, Client& client, std::uint32_t events);
  /// The same for a socket that is watched already.
  void rewatch(const Socket& socket, Client& client, std::uint32_t events);

  /// The client has an answer to a request that was due at that time. If it is to send another one now, returns when
  /// that was due.
  std::optional<Clock::time_point> answered(Client& client, Clock::time_point due);

  /// The client has sent a datagram again.
  void lost() noexcept { ++result_.lost; }
  /// @}

 private:
  void control(int operation, const Socket& socket, Client& client, std::uint32_t events);
  template <class Move>
  void attempt(Client& client, Move&& move);
  void drop(Client& client);
  void wait(Clock::time_point until);

  void send(Client& client, Clock::time_point due);
  void send_all(unsigned depth);
  void send_what_is_due();
  bool waits_for_first_answer() const;
  Clock::time_point give_up_at() const;
  void count_as_stalled(const Client& client);
  void look_for_overdue();

  std::vector<std::unique_ptr<Client>> clients_;  // null: has failed
  Socket epoll_;
  std::uint64_t in_flight_ = 0;  // of all clients
  Clock::time_point next_look_{};

  std::optional<Schedule> schedule_;  // of an open load
  std::uint64_t next_scheduled_ = 0;
  Clock::time_point begin_ = Clock::time_point::max();  // of the measured time
  Clock::time_point end_ = Clock::time_point::min();    // from then on, no more requests are sent
  Result result_;
};

}  // namespace load
