#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <sockserv/detail/fiber_task.hpp>
#include <sockserv/detail/thread_pool.hpp>
#include <string>
#include <vector>

namespace sockserv::fiber {
class Loop;
}

namespace sockserv::detail {

/// The loops of one server: threads that run its requests on fibers and accept them.
///
/// @par Thread safety
/// Safe.
class FiberLoops {
 public:
  using duration = std::chrono::steady_clock::duration;
  using time_point = std::chrono::steady_clock::time_point;

  /// What the loops want of their server.
  struct Callbacks {
    /// Accepts one request; false if there is none.
    std::function<bool()> accept;
    /// True if another may be accepted now.
    std::function<bool()> may_accept;
    /// Makes the serving thread look around.
    std::function<void()> wake;
    /// Says that a request has kept a loop for so long without ever waiting.
    std::function<void(const Address& client, duration length)> stalled;
  };

  struct Settings {
    std::size_t loops = 1;
    std::size_t stack_size = 0;
    duration stall_threshold{};  // zero: nobody looks
    duration busy_poll{};        // zero: a loop without work sleeps at once
    std::string handler;         // its name, for messages
    /// A read that did not fill its buffer has emptied the socket, so that the next one need not be tried: true of TCP,
    /// whose bytes have no bounds.
    bool short_read_empties = false;
  };

  explicit FiberLoops(Callbacks callbacks);
  FiberLoops(const FiberLoops&) = delete;
  FiberLoops& operator=(const FiberLoops&) = delete;
  /// Waits until all tasks are done.
  ~FiberLoops();

  /// In a forked child, which has none of the loops' threads: forgets them all. Their descriptors stay open.
  void forget();

  /// Starts the loops. Throws if there can be no thread, descriptor or memory.
  void start(const Settings& settings);
  bool started() const noexcept { return !loops_.empty(); }

  /// Has the loops watch the socket that they are to accept from. Throws if there is no memory.
  void watch(int listener);
  /// Has the loops accept, from now on until `stop_accepting()`, or until they may not and call `wake`.
  void accept() noexcept;
  /// When this returns, no loop accepts.
  void stop_accepting() noexcept;

  /// Has the task done: by the loop that is calling, or by another that has clearly less to do. If it throws, the task
  /// is still the caller's.
  void submit(std::unique_ptr<FiberTask>& task);

  /// Tasks that have been submitted and are not done.
  std::size_t running() const noexcept { return running_; }
  bool wait_until_none(time_point deadline = time_point::max());
  /// Ends what tasks wait for, if that is not their connection; also what later ones will wait for.
  void abort() noexcept;
  /// Waits until all tasks are done, and ends the threads.
  void stop();

  /// How often to call `look_for_stalls()`; no value: there is nothing to see.
  std::optional<duration> look_interval() const noexcept;
  void look_for_stalls();

  /// @name For the loops
  /// @{
  void accept(fiber::Loop& loop);
  void done() noexcept;
  bool is_aborted() const noexcept { return aborted_; }
  /// The loop was idle and no longer is.
  void busy() noexcept;
  /// Has work done by a thread that nobody waits for but its fiber.
  void offload(std::unique_ptr<ThreadTask>& work);
  /// @}

 private:
  /// What was last seen of a loop, by those who look for stalls.
  struct Observation {
    std::uint64_t turn = 0;
    time_point since{};
    bool running = false;
    bool reported = false;
  };

  Callbacks callbacks_;
  Settings settings_;
  std::mutex loops_mutex_;  // for those who may come while the loops are being started
  std::vector<std::unique_ptr<fiber::Loop>> loops_;
  std::atomic<bool> aborted_ = false;

  std::mutex accepting_mutex_;  // held by the loop that accepts
  std::atomic<bool> accepting_ = false;

  std::atomic<std::size_t> running_ = 0;
  std::mutex none_left_mutex_;
  std::condition_variable none_left_;

  std::atomic<bool> watching_ = false;
  bool last_look_ = false;  // of the thread that looks, as are the sights
  std::vector<Observation> observations_;

  ThreadPool offloaded_{[] {}};
};

}  // namespace sockserv::detail
