#pragma once

#include <cstddef>

namespace support {

/// What the system can refuse a program.
enum class Resource {
  memory,   ///< malloc and its kin, and with them operator new. Under AddressSanitizer, operator new alone.
  thread,   ///< pthread_create.
  mapping,  ///< mmap where the program calls it; the C library's own calls succeed.
};

/// Refuses a program one of the things that it asks of the system: the n-th of a kind from some moment on, counted over
/// all threads and over the processes that it forks. A test program that links this file's source has its allocation
/// functions replaced.
///
/// Under ThreadSanitizer, operator new is the runtime's and is never refused nor counted.
class Scarcity {
 public:
  /// Refuses the n-th, counted from 1 and from now on, and those that follow it, `count` in all; then nothing more.
  static void refuse(Resource resource, std::size_t nth, std::size_t count = 1) noexcept;
  /// Refuses nothing, but counts from now on how often the program asks.
  static void count(Resource resource) noexcept;
  /// How often the program has asked since `refuse` or `count`.
  static std::size_t asked() noexcept;
  /// Refuses nothing more, and does not count.
  static void end() noexcept;
  /// True once that has happened.
  static bool has_struck() noexcept;

  /// While one lives, the calling thread is refused nothing, and what it asks for is not counted.
  class Exemption {
   public:
    Exemption() noexcept;
    Exemption(const Exemption&) = delete;
    Exemption& operator=(const Exemption&) = delete;
    ~Exemption();
  };

  /// While one lives, the calling thread is treated as others are, although it has an exemption.
  class Exposure {
   public:
    Exposure() noexcept;
    Exposure(const Exposure&) = delete;
    Exposure& operator=(const Exposure&) = delete;
    ~Exposure();

   private:
    int exemptions_;
  };
};

}  // namespace support
