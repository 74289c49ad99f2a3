#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <boost/asio/execution_context.hpp>
#include <boost/container/small_vector.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <sockserv/detail/admission.hpp>
#include <sockserv/detail/descriptor.hpp>

#include "../base/closed_together.hpp"

namespace sockserv::inline abi_0::detail {

/// The child processes of one server, and only those: each is watched by a descriptor of its own (a pidfd,
/// pidfd_open(2)), so other children of the program are never touched and a process id is never mistaken.
///
/// A child that has an exit flag gets its descriptor when the parent is about to wait, or to send signals. Most
/// children of a busy parent exit before that: the parent reaps them by their flags, and watching them costs nothing.
///
/// @par Thread safety
/// Safe.
class ChildProcesses {
 public:
  /// Hears of each child that has been reaped: its process id, and how it ended, as waitpid() says; no value: somebody
  /// else has reaped it. Called by whichever thread reaps, which meanwhile keeps all others from this object.
  using OnEnd = std::function<void(pid_t, std::optional<int>)>;

  /// The flags by which children announce that they are about to exit, in memory that they share with their parent.
  /// Only hints: a child that is killed sets none.
  using ExitFlags = std::array<std::atomic<bool>, 64>;

  explicit ChildProcesses(OnEnd on_end) : ChildProcesses(std::move(on_end), nullptr) {}
  explicit ChildProcesses(ExitFlags& exit_flags) : ChildProcesses({}, &exit_flags) {}
  ChildProcesses(const ChildProcesses&) = delete;
  ChildProcesses& operator=(const ChildProcesses&) = delete;
  ~ChildProcesses();

  /// Calls `fork(unneeded)`, which forks and returns as fork() does or throws, and takes charge of the child: from
  /// outside, the child is never there without being counted. In the child, forgets all, which are its siblings, and
  /// closes the descriptors that `fork` says are unneeded there. The admission is that of the request that the child
  /// serves: kept until the child has ended.
  template <class Fork>
  pid_t add(const Fork& fork, Admission admission = {}) {
    const std::scoped_lock lock(mutex_);  // across the fork, so that the child's copy is whole and free
    const int exit_flag = prepare();
    ClosedTogether unneeded;
    const pid_t child = fork(unneeded);
    if (child == 0) {
      admission.withdraw();  // the parent's has effect
      become_child(exit_flag, unneeded);
    } else {
      take_charge(child, exit_flag, std::move(admission));
    }
    return child;
  }

  std::set<pid_t> active() const;
  std::size_t size() const;

  /// Becomes readable when a child that is watched has exited.
  int descriptor() const noexcept { return ended_.get(); }
  /// Has all children watched, which comes before waiting for that descriptor.
  void watch_all() noexcept;

  /// How often to call `collect()` without being told: some child could be given no descriptor. No value: never.
  std::optional<std::chrono::milliseconds> look_interval() const;

  /// Reaps the children that have exited.
  void collect();
  /// Reaps the children that have exited, except those that are not watched yet and have announced nothing.
  void collect_known();
  /// Reaps children as they end, until there are none or the deadline has come; true if there are none.
  bool wait_until_none(std::chrono::steady_clock::time_point deadline);
  /// Makes `wait_until_none()` return at once, now and from now on. Async-signal-safe.
  void stop_waiting() noexcept;
  /// Sends each a signal; returns how many there are.
  std::size_t signal_all(int signal) noexcept;
  /// Sends one a signal, if it has not been reaped.
  void signal(pid_t child, int signal) noexcept;

  /// In a child: flushes the standard streams, announces the exit, and exits as `exit_child()` does.
  [[noreturn]] void exit_from_child(int status) noexcept;

 private:
  enum class Watch : std::uint8_t {
    not_yet,
    by_descriptor,
    impossible,  ///< There was no descriptor left.
  };
  struct Child {
    pid_t id;
    Watch watch;
    int exit_flag;   // -1: it has none
    int descriptor;  // -1: it has none
    Admission admission;
  };

  struct Table {
    // In no order, and usually within this object, so that few pages are written to between forks.
    boost::container::small_vector<Child, 40> children;
    std::array<std::size_t, 3> counts{};  // of children, for each way to watch them
    std::uint64_t flags_taken = 0;        // a bit for each exit flag
    std::size_t waiting = 0;              // threads in wait_until_none()
  };

  ChildProcesses(OnEnd on_end, ExitFlags* exit_flags);
  static void signal(const Child& child, int signal) noexcept;
  int prepare();
  void take_charge(pid_t child, int exit_flag, Admission&& admission);
  bool has_announced_exit(const Child& child) const noexcept;
  std::size_t& count_of(Watch watch) noexcept { return table_->counts[static_cast<std::size_t>(watch)]; }
  std::size_t count_of(Watch watch) const noexcept { return table_->counts[static_cast<std::size_t>(watch)]; }
  void watch(Child& child) noexcept;
  void watch_new() noexcept;
  template <class Condition>
  void collect_if(const Condition& condition);
  void collect_ended();
  bool collect_one(std::size_t index);
  void become_child(int exit_flag, ClosedTogether& unneeded) noexcept;

  const OnEnd on_end_;
  ExitFlags* const exit_flags_;
  // What is written around each fork lies together, because each page of it is then copied.
  mutable std::mutex mutex_;  // guards what follows
  // In a child, which is to see none of its siblings, it points to the empty table. The other stays as it is.
  Table* table_ = &of_parent_;
  int own_exit_flag_ = -1;  // of a child
  Descriptor ended_;        // an epoll set of the children's descriptors
  Descriptor none_left_;    // an eventfd for those threads: another one may have reaped the last child
  std::atomic<bool> stop_waiting_ = false;
  Table of_parent_;
  Table of_child_;
};

/// A descriptor that becomes readable when the process ends (pidfd_open(2)); none where the system has none.
Descriptor open_pidfd(pid_t process) noexcept;

/// Calls `fork`, which returns as fork() does or throws, and has `notify` told before, and afterwards in the parent. In
/// the child, it is left to the caller to tell it: what that throws there must not look like a fork that failed.
pid_t fork_with_notice(const std::function<void(boost::asio::execution_context::fork_event)>& notify,
                       const std::function<pid_t()>& fork);

}  // namespace sockserv::inline abi_0::detail
