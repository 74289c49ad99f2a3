#pragma once

#include <atomic>
#include <chrono>
#include <exception>
#include <mutex>
#include <optional>
#include <sockserv/detail/once_a_second.hpp>

namespace sockserv::inline abi_0::detail {

/// What to do about failures to accept: nothing, pause, or give up.
///
/// @par Thread safety
/// Safe: one thread may accept while another asks whether there is a pause.
class AcceptPause {
 public:
  using clock = std::chrono::steady_clock;

  enum class Verdict {
    go_on,  ///< It concerned one connection only; the next one may be well.
    pause,  ///< The system lacks descriptors or memory, and accepting again at once would fail again.
    stop,   ///< The socket is no listening socket any more.
  };

  /// Judges an error of `get_request()`. Pauses last 10 ms, and twice as long each time up to a second, until accepting
  /// succeeds.
  Verdict failed(const std::exception_ptr& error) noexcept;
  void succeeded() noexcept;

  /// When the present pause ends; no value: there is none.
  std::optional<clock::time_point> end() const noexcept;

  /// True for an error that is worth a line in the log: not one that belongs to a single connection, and no more than
  /// one a second.
  bool worth_logging(const std::exception_ptr& error) noexcept;

 private:
  OnceASecond may_log_;
  std::atomic<bool> failing_ = false;  // tells succeeded() that there is nothing to do, without the lock
  mutable std::mutex mutex_;           // guards what follows
  clock::duration length_{};
  clock::time_point end_{};
};

}  // namespace sockserv::inline abi_0::detail
