#pragma once

/// Messages for the operator of a server, and how lines are written without waiting for their reader.

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <sockserv/detail/shared_memory.hpp>
#include <sockserv/export.hpp>
#include <string_view>

namespace sockserv::inline abi_0 {

/// How serious a log message is.
enum class LogLevel { info, warning, error };

/// Takes a message without a final newline; a message may have several lines. Called from whichever thread has
/// something to say, so it must be thread-safe. What it throws is dropped. If it blocks, it delays the thread that
/// calls it, which may be the serving thread or a loop that runs fibers; `log_to_stderr` never blocks.
using LogSink = std::function<void(LogLevel level, std::string_view message)>;

/// Writes "sockserv: message" to standard error in one system call. Thread-safe.
///
/// Never waits for a pipe or a terminal that nobody reads: a message that cannot be written at once is dropped, and
/// when the next one can be written, a line after it says how many were lost, in child processes too. Only when `run()`
/// is about to return does it wait, for up to 100 ms, because no later line could report the loss. `LineWriter` says
/// where Linux makes exceptions.
SOCKSERV_EXPORT void log_to_stderr(LogLevel level, std::string_view message) noexcept;

/// Writes lines to a descriptor, for example of an access log, and never waits for its reader.
///
/// Descriptors such as standard error are shared with other processes, so none of their flags is changed. A line that a
/// full pipe, socket or terminal cannot take at once is lost and counted. A reader that is gone raises no SIGPIPE. A
/// regular file is written to in the usual way; slow disks and network file systems do block.
///
/// Linux cannot be asked to write to a terminal or a FIFO without waiting, nor before 6.4 to a pipe. These are opened a
/// second time for each line. Where that is not possible either (no /proc, or a terminal or pipe of another user), the
/// writer asks poll(2) first, and waits if there is less room than poll(2) promises or another process takes it.
///
/// @par Thread safety
/// Safe, and safe to use in child processes: they count lost lines together with their parent.
///
/// @par Lifetime
/// Does not own the descriptor.
class SOCKSERV_EXPORT LineWriter {
 public:
  using duration = std::chrono::steady_clock::duration;

  /// @throws boost::system::system_error if there is no memory for the count of lost lines.
  explicit LineWriter(int descriptor);

  /// What makes up a line, in order; parts may be empty.
  using Parts = std::array<std::string_view, 3>;

  /// Writes the parts one after the other, in one system call. Waits for up to `patience` if the descriptor is full.
  /// Returns false if the line is lost, whole or in part. Async-signal-safe.
  bool write(const Parts& parts, duration patience = duration::zero()) const noexcept;

  /// Returns how many lines were lost since the last call, in all processes.
  std::uint64_t take_lost() const noexcept;
  /// Counts lines as lost: what `take_lost()` returned, where they could not be reported.
  void count_lost(std::uint64_t lines) const noexcept;

 private:
  struct Losses {
    std::atomic<std::uint64_t> lines = 0;
    std::atomic<bool> torn = false;  // the last line lacks its end
  };

  int descriptor_;
  detail::SharedMemory<Losses> losses_{1};
};

}  // namespace sockserv::inline abi_0
