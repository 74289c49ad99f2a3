#pragma once

#include <array>
#include <cstddef>

namespace sockserv::inline abi_0::detail {

/// Descriptors that are closed together: numbers that follow each other by one system call.
///
/// Never fails and takes no memory: when it is full, it closes what it holds.
class ClosedTogether {
 public:
  ClosedTogether() noexcept = default;
  ClosedTogether(const ClosedTogether&) = delete;
  ClosedTogether& operator=(const ClosedTogether&) = delete;
  ~ClosedTogether() { close(); }

  /// Takes a descriptor, which stays open until `close()`; a negative number is none.
  void add(int descriptor) noexcept;
  /// Closes all that were added.
  void close() noexcept;

 private:
  struct Range {
    int first;
    int last;
  };
  std::array<Range, 16> ranges_;
  std::size_t count_ = 0;
};

}  // namespace sockserv::inline abi_0::detail
