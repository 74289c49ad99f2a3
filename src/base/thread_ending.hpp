#pragma once

#include <pthread.h>

namespace sockserv::inline abi_0::detail {

/// Something to do when a thread ends, after its `thread_local` objects have been destroyed.
///
/// It takes the place of a `thread_local` object with a destructor: the C library needs memory to register the first of
/// these in a thread, and aborts without.
class ThreadEnding {
 public:
  ThreadEnding() = default;
  ThreadEnding(const ThreadEnding&) = delete;
  ThreadEnding& operator=(const ThreadEnding&) = delete;

  /// Makes sure that `register_here()` can succeed in any thread; to be called before it.
  /// @throws boost::system::system_error if the program has used up its thread-specific keys.
  static void prepare() { key(); }

  /// Has `at_end()` called when the calling thread ends, unless it is the main thread, before that of objects that were
  /// registered earlier. False if the C library has no memory for it, which it needs only in a program with many
  /// thread-specific keys; then nothing is called.
  bool register_here() noexcept;

 protected:
  ~ThreadEnding() = default;

 private:
  /// The last use of this object. It may delete it.
  virtual void at_end() noexcept = 0;

  static pthread_key_t key();
  static void call_all(ThreadEnding* last) noexcept;

  ThreadEnding* earlier_ = nullptr;
};

}  // namespace sockserv::inline abi_0::detail
