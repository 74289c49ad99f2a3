#pragma once

#include <sys/types.h>

#include <atomic>
#include <boost/asio/execution_context.hpp>
#include <boost/container/small_vector.hpp>
#include <chrono>
#include <cstddef>
#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <sockserv/detail/admission.hpp>
#include <sockserv/detail/descriptor.hpp>
#include <sockserv/export.hpp>

namespace sockserv::detail {

/// The child processes of one server, and only those: each is watched and reaped by a descriptor of its own (a pidfd,
/// pidfd_open(2)), so other children of the program are never touched and a process id is never mistaken.
///
/// @par Thread safety
/// Safe.
class SOCKSERV_EXPORT ChildProcesses {
 public:
  /// Hears of each child that has been reaped: its process id, and how it ended, as waitpid() says; no value: somebody
  /// else has reaped it. Called by whichever thread reaps, which meanwhile keeps all others from this object.
  using OnEnd = std::function<void(pid_t, std::optional<int>)>;

  explicit ChildProcesses(OnEnd on_end = {});
  ChildProcesses(const ChildProcesses&) = delete;
  ChildProcesses& operator=(const ChildProcesses&) = delete;
  ~ChildProcesses();

  /// Calls `fork`, which forks and returns as fork() does or throws, and takes charge of the child: from outside, the
  /// child is never there without being counted. In the child, forgets all: they are its siblings. The admission is
  /// that of the request that the child serves: kept until the child has ended.
  pid_t add(const std::function<pid_t()>& fork, Admission admission = {});

  std::set<pid_t> active() const;
  std::size_t size() const;

  /// Becomes readable when a child has ended.
  int descriptor() const noexcept { return ended_.get(); }

  /// How often to call `collect()` without being told: some child could be given no descriptor. No value: never.
  std::optional<std::chrono::milliseconds> look_interval() const;

  /// Reaps the children that have ended.
  void collect();
  /// Reaps children as they end, until there are none or the deadline has come; true if there are none.
  bool wait_until_none(std::chrono::steady_clock::time_point deadline);
  /// Makes `wait_until_none()` return at once, now and from now on. Async-signal-safe.
  void stop_waiting() noexcept;
  /// Sends each a signal; returns how many there are.
  std::size_t signal_all(int signal) noexcept;
  /// Sends one a signal, if it has not been reaped.
  void signal(pid_t child, int signal) noexcept;

 private:
  struct Child {
    pid_t id;
    int descriptor;  // -1: there was none left
    Admission admission;
  };

  static void signal(const Child& child, int signal) noexcept;
  void watch(pid_t child, Admission&& admission);
  void collect_ended();
  bool collect_one(std::size_t index);

  const OnEnd on_end_;
  mutable std::mutex mutex_;  // guards what follows
  // In no order, and usually within this object: each page that is written to between forks has to be copied.
  boost::container::small_vector<Child, 40> children_;
  std::size_t unwatched_ = 0;  // children without a descriptor
  std::size_t waiting_ = 0;    // threads in wait_until_none()
  Descriptor ended_;           // an epoll set of the children's descriptors
  Descriptor none_left_;       // an eventfd for those threads: another one may have reaped the last child
  std::atomic<bool> stop_waiting_ = false;
};

/// A descriptor that becomes readable when the process ends (pidfd_open(2)); none where the system has none.
Descriptor open_pidfd(pid_t process) noexcept;

/// Calls `fork`, which returns as fork() does or throws, and has `notify` told before, and afterwards in the parent. In
/// the child, it is left to the caller to tell it: what that throws there must not look like a fork that failed.
SOCKSERV_EXPORT pid_t fork_with_notice(const std::function<void(boost::asio::execution_context::fork_event)>& notify,
                                       const std::function<pid_t()>& fork);

/// Writes out what standard output and standard error hold in their buffers.
SOCKSERV_EXPORT void flush_standard_streams() noexcept;

/// Ends a child process: flushes the standard streams, and leaves without unwinding or exit handlers, which belong to
/// the parent.
[[noreturn]] SOCKSERV_EXPORT void exit_child(int status) noexcept;

}  // namespace sockserv::detail
