#pragma once

#include <memory>
#include <mutex>
#include <sockserv/detail/input_buffer.hpp>
#include <thread>
#include <vector>

namespace sockserv::inline abi_0::fiber {

/// The memory into which the fibers of one loop receive. What was given back last is lent first, so that it is still in
/// the processor's cache; as many buffers exist as were needed at once.
///
/// @par Thread safety
/// Unsafe: each loop has its own. But any thread may give back what was lent, since what a fiber offloads may read.
class InputBuffers final : public detail::BufferLender {
 public:
  char* lend() override {
    if (free_.empty()) take_over_from_others();
    if (free_.empty()) return make();
    char* const buffer = free_.back();
    free_.pop_back();
    return buffer;
  }

  void take_back(char* buffer) noexcept override {
    if (std::this_thread::get_id() == owner_) return free_.push_back(buffer);
    const std::scoped_lock lock(mutex_);
    from_others_.push_back(buffer);
  }

  /// The calling thread is the loop's.
  void belong_here() noexcept { owner_ = std::this_thread::get_id(); }

 private:
  void take_over_from_others() {
    const std::scoped_lock lock(mutex_);
    free_.swap(from_others_);
  }

  char* make() {
    const std::scoped_lock lock(mutex_);
    all_.push_back(std::make_unique_for_overwrite<char[]>(buffer_size));
    free_.reserve(all_.capacity());  // so that taking back cannot fail
    from_others_.reserve(all_.capacity());
    return all_.back().get();
  }

  std::thread::id owner_;
  std::vector<std::unique_ptr<char[]>> all_;
  std::vector<char*> free_;

  std::mutex mutex_;  // guards what follows
  std::vector<char*> from_others_;
};

}  // namespace sockserv::inline abi_0::fiber
