#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <sockserv/detail/runners.hpp>
#include <utility>
#include <vector>

#include "../transport/fiber/loop_owner.hpp"
#include "thread_pool.hpp"

namespace sockserv::inline abi_0::detail {

/// The loops of one server: threads that run its requests on fibers and accept them.
class FiberLoops final : public Runner, public fiber::LoopOwner {
 public:
  FiberLoops(std::function<FibersSettings()> settings, std::function<void()> wake, LogFunction log);
  /// Waits until all tasks are done.
  ~FiberLoops() override;

  /// Starts the loops, and has them watch the socket that they are to accept from.
  /// @throws std::bad_alloc, boost::thread_resource_error or boost::system::system_error if memory, a thread or a
  ///     descriptor is lacking.
  void start(Acceptor& acceptor) override;
  bool accept() override;
  void stop_accepting(bool to_drain) noexcept override;

  /// Has the task done by the loop that is calling, or by another that has clearly less to do.
  void run(std::unique_ptr<Task>& task) override;

  CostOfWaiting cost_of_waiting() const noexcept override { return CostOfWaiting::nothing; }
  std::size_t running() const override { return running_; }
  bool wait_until_idle(time_point deadline) override;
  /// Ends what tasks wait for, if that is not their connection; also what later ones will wait for.
  std::size_t abort(bool last_resort) noexcept override;

  bool is_responsive() override;

  /// Asks for a look at the loops now and then, while any of them is busy.
  Watch watch() override;
  /// Looks for tasks that keep their loop.
  void collect() override;

  /// @name For the loops
  /// @{
  void accept(fiber::Loop& loop) override;
  void done() noexcept override;
  void busy() noexcept override;
  bool is_aborted() const noexcept override { return aborted_; }
  void offload(std::unique_ptr<Task>& work) override;
  /// @}

 private:
  /// What was last seen of a loop, by those who look for stalls.
  struct Observation {
    std::uint64_t turn = 0;
    time_point since{};
    bool running = false;
    bool reported = false;
  };

  void start_loops();
  bool accept_one();
  void report_stall(const Address& client, duration length) const;

  const std::function<FibersSettings()> get_settings_;
  const std::function<void()> wake_;
  const LogFunction log_;
  FibersSettings settings_;
  Acceptor* acceptor_ = nullptr;
  std::mutex loops_mutex_;  // for those who may come while the loops are being started
  std::vector<std::unique_ptr<fiber::Loop>> loops_;
  std::atomic<bool> aborted_ = false;

  std::mutex accepting_mutex_;  // held by the loop that accepts
  std::atomic<bool> accepting_ = false;

  std::atomic<std::size_t> running_ = 0;
  std::mutex none_left_mutex_;
  std::condition_variable none_left_;

  std::atomic<bool> watching_ = false;
  bool last_look_ = false;  // the serving thread's, as are the observations
  std::vector<Observation> observations_;
  std::vector<std::uint64_t> turns_;  // the serving thread's: where each loop was when `is_responsive()` was called

  ThreadPool offloaded_{[] {}};
};

}  // namespace sockserv::inline abi_0::detail
