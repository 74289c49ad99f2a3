#include <sockserv/detail/runners.hpp>
#include <utility>

#include "thread_pool.hpp"

namespace sockserv::inline abi_0::detail {
namespace {

class Pool final : public Runner {
 public:
  Pool(std::function<PoolSettings()> settings, std::function<void()> wake)
      : settings_(std::move(settings)), threads_(std::move(wake)) {}

  void run(std::unique_ptr<Task>& task) override {
    const PoolSettings settings = settings_();
    const ThreadPool::Limits limits{settings.threads, settings.queue, settings.stack_size};
    if (!settings.rejects || threads_.has_room(limits)) threads_.submit(task, limits);
  }
  bool has_room() const override {
    const PoolSettings settings = settings_();
    return settings.rejects || threads_.has_room({settings.threads, settings.queue, settings.stack_size});
  }
  std::size_t running() const override { return threads_.running(); }
  bool wait_until_idle(time_point deadline) override { return threads_.wait_until_none(deadline); }
  std::size_t abort(bool) noexcept override { return 0; }

 private:
  const std::function<PoolSettings()> settings_;
  ThreadPool threads_;
};

}  // namespace

std::unique_ptr<Runner> make_pool(std::function<PoolSettings()> settings, std::function<void()> wake) {
  return std::make_unique<Pool>(std::move(settings), std::move(wake));
}

}  // namespace sockserv::inline abi_0::detail
