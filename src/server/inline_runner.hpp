#pragma once

#include <sockserv/detail/runner.hpp>

namespace sockserv::inline abi_0::detail {

/// Runs each task at once, in the thread that calls.
class Inline final : public Runner {
 public:
  void run(std::unique_ptr<Task>& task) override {
    const std::unique_ptr<Task> own = std::move(task);
    own->run();
  }
  CostOfWaiting cost_of_waiting() const noexcept override { return CostOfWaiting::everything; }
  std::size_t running() const override { return 0; }
  bool wait_until_idle(time_point) override { return true; }
  std::size_t abort(bool) noexcept override { return 0; }
};

/// The one that all servers share, since it has no state.
inline Runner& inline_runner() noexcept {
  static Inline runner;
  return runner;
}

}  // namespace sockserv::inline abi_0::detail
