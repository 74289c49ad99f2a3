#pragma once

#include <memory>
#include <sockserv/detail/input_buffer.hpp>
#include <vector>

namespace sockserv::fiber {

/// The memory into which the fibers of one loop receive. What was given back last is lent first, so that it is still in
/// the processor's cache; as many buffers exist as were needed at once.
///
/// @par Thread safety
/// Unsafe: each loop has its own.
class InputBuffers final : public detail::BufferLender {
 public:
  char* lend() override {
    if (free_.empty()) {
      free_.reserve(all_.size() + 1);  // so that taking back cannot fail
      all_.push_back(std::make_unique_for_overwrite<char[]>(buffer_size));
      return all_.back().get();
    }
    char* const buffer = free_.back();
    free_.pop_back();
    return buffer;
  }

  void take_back(char* buffer) noexcept override { free_.push_back(buffer); }

 private:
  std::vector<std::unique_ptr<char[]>> all_;
  std::vector<char*> free_;
};

}  // namespace sockserv::fiber
