#include <sockserv/detail/runners.hpp>
#include <utility>

#include "thread_group.hpp"

namespace sockserv::inline abi_0::detail {
namespace {

class Threads final : public Runner {
 public:
  Threads(std::function<ThreadsSettings()> settings, std::function<void()> wake)
      : settings_(std::move(settings)), group_(std::move(wake)) {}

  void run(std::unique_ptr<Task>& task) override { group_.start(task, settings_().stack_size); }
  bool has_room() const override {
    const std::size_t limit = settings_().max_threads;
    return limit == 0 || group_.has_room(limit);
  }
  std::size_t running() const override { return group_.running(); }
  bool wait_until_idle(time_point deadline) override { return group_.wait_until_none(deadline); }
  std::size_t abort(bool) noexcept override { return 0; }

 private:
  const std::function<ThreadsSettings()> settings_;
  ThreadGroup group_;
};

}  // namespace

std::unique_ptr<Runner> make_threads(std::function<ThreadsSettings()> settings, std::function<void()> wake) {
  return std::make_unique<Threads>(std::move(settings), std::move(wake));
}

}  // namespace sockserv::inline abi_0::detail
