#pragma once

#include <sockserv/detail/scheduler.hpp>

namespace sockserv::inline abi_0::detail {

/// The scheduler of plain threads.
///
/// @par Thread safety
/// Safe: it has no state, and one object serves all threads.
class ThreadScheduler final : public Scheduler {
 public:
  bool may_block() const noexcept override { return true; }
  void take_turns() noexcept override {}
  void wait_for_descriptor(int descriptor, short events, time_point deadline, error_code& error) noexcept override;
  bool sleep_until(time_point time, LiveRequests* live) override;
  void offload(const std::function<void()>& work) override;
  boost::asio::io_context& context() override;
  Outcome wait_until_done(const bool& done, time_point deadline, LiveRequests* live) override;
  void wake() override {}
};

extern ThreadScheduler plain_thread;

}  // namespace sockserv::inline abi_0::detail
