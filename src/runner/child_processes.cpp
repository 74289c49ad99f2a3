#include "child_processes.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstdint>
#include <sockserv/detail/deadline.hpp>
#include <sockserv/error.hpp>
#include <span>
#include <utility>

#include "../base/exit_child.hpp"

namespace sockserv::inline abi_0::detail {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds interval_without_descriptor(20);

}  // namespace

Descriptor open_pidfd(pid_t process) noexcept {
  return Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, process, 0)));
}

ChildProcesses::~ChildProcesses() {
  for (const Child& child : table_->children) {
    if (child.descriptor >= 0) ::close(child.descriptor);
  }
}

ChildProcesses::ChildProcesses(OnEnd on_end, ExitFlags* exit_flags)
    : on_end_(std::move(on_end)),
      exit_flags_(exit_flags),
      ended_(::epoll_create1(EPOLL_CLOEXEC)),
      none_left_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!ended_ || !none_left_) throw_error(last_system_error(), "descriptors for watching children");
}

/// Takes the memory for another child, so that nothing can fail once it is there. Returns an exit flag that no child
/// has; -1: there is none.
int ChildProcesses::prepare() {
  table_->children.reserve(table_->children.size() + 1);
  const int free = std::countr_one(table_->flags_taken);
  if (!exit_flags_ || free == 64) return -1;
  (*exit_flags_)[static_cast<std::size_t>(free)] = false;
  return free;
}

void ChildProcesses::take_charge(pid_t child, int exit_flag, Admission&& admission) {
  if (exit_flag >= 0) table_->flags_taken |= std::uint64_t{1} << exit_flag;
  table_->children.push_back({child, Watch::not_yet, exit_flag, -1, std::move(admission)});  // there is room
  ++count_of(Watch::not_yet);
  if (exit_flag < 0) watch(table_->children.back());
}

bool ChildProcesses::has_announced_exit(const Child& child) const noexcept {
  return child.exit_flag >= 0 && (*exit_flags_)[static_cast<std::size_t>(child.exit_flag)];
}

/// Only closes descriptors: memory that a child frees is memory that it must copy first, and it is about to exit.
void ChildProcesses::become_child(int exit_flag, ClosedTogether& unneeded) noexcept {
  for (const Child& sibling : of_parent_.children) unneeded.add(sibling.descriptor);
  unneeded.add(ended_.release());
  unneeded.add(none_left_.release());
  unneeded.close();
  table_ = &of_child_;
  own_exit_flag_ = exit_flag;
}

/// Never fails: where the system has no descriptor left, the child is found by looking.
void ChildProcesses::watch(Child& child) noexcept {
  Descriptor watched = open_pidfd(child.id);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = child.id;
  if (watched && ::epoll_ctl(ended_.get(), EPOLL_CTL_ADD, watched.get(), &event) != 0) watched.reset();
  --count_of(child.watch);
  child.watch = watched ? Watch::by_descriptor : Watch::impossible;
  child.descriptor = watched.release();
  ++count_of(child.watch);
}

/// With the mutex held.
void ChildProcesses::watch_new() noexcept {
  if (count_of(Watch::not_yet) == 0) return;
  for (Child& child : table_->children) {
    if (child.watch == Watch::not_yet) watch(child);
  }
}

void ChildProcesses::watch_all() noexcept {
  const std::scoped_lock lock(mutex_);
  watch_new();
}

std::set<pid_t> ChildProcesses::active() const {
  const std::scoped_lock lock(mutex_);
  std::set<pid_t> ids;
  for (const Child& child : table_->children) ids.insert(child.id);
  return ids;
}

std::size_t ChildProcesses::size() const {
  const std::scoped_lock lock(mutex_);
  return table_->children.size();
}

/// Reaps the child if it has ended; the last one then takes its place.
bool ChildProcesses::collect_one(std::size_t index) {
  const pid_t id = table_->children[index].id;
  const int descriptor = table_->children[index].descriptor;
  pid_t result = 0;
  int status = 0;
  do {
    result = ::waitpid(id, &status, WNOHANG);
  } while (result < 0 && errno == EINTR);
  // An error means that somebody else has reaped it, or that the program ignores SIGCHLD: it is gone either way.
  if (result == 0) return false;
  if (descriptor >= 0) {
    // Closing alone would leave it in the set for as long as a sibling has yet to close its inherited copy.
    ::epoll_ctl(ended_.get(), EPOLL_CTL_DEL, descriptor, nullptr);
    ::close(descriptor);
  }
  --count_of(table_->children[index].watch);
  if (const int flag = table_->children[index].exit_flag; flag >= 0) table_->flags_taken &= ~(std::uint64_t{1} << flag);
  table_->children[index] = std::move(table_->children.back());
  table_->children.pop_back();
  if (on_end_) on_end_(id, result > 0 ? std::optional(status) : std::nullopt);
  if (table_->children.empty() && table_->waiting > 0) {
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = ::write(none_left_.get(), &one, sizeof one);
  }
  return true;
}

std::optional<milliseconds> ChildProcesses::look_interval() const {
  const std::scoped_lock lock(mutex_);
  return count_of(Watch::impossible) > 0 ? std::optional(interval_without_descriptor) : std::nullopt;
}

void ChildProcesses::collect() {
  const std::scoped_lock lock(mutex_);
  watch_new();
  collect_ended();
}

void ChildProcesses::collect_known() {
  const std::scoped_lock lock(mutex_);
  collect_ended();
}

template <class Condition>
void ChildProcesses::collect_if(const Condition& condition) {
  for (std::size_t index = 0; index < table_->children.size();) {
    if (!condition(table_->children[index]) || !collect_one(index)) ++index;
  }
}

/// With the mutex held.
void ChildProcesses::collect_ended() {
  if (count_of(Watch::impossible) > 0) return collect_if([](const Child&) { return true; });
  if (count_of(Watch::not_yet) > 0) {
    collect_if([this](const Child& child) { return child.watch == Watch::not_yet && has_announced_exit(child); });
  }
  std::array<epoll_event, 16> events;
  for (bool more = count_of(Watch::by_descriptor) > 0; more;) {
    const int count = ::epoll_wait(ended_.get(), events.data(), static_cast<int>(events.size()), 0);
    more = count == static_cast<int>(events.size());
    for (const epoll_event& event : std::span(events).first(static_cast<std::size_t>(std::max(count, 0)))) {
      const auto& children = table_->children;
      const auto child =
          std::find_if(children.begin(), children.end(), [&](const Child& each) { return each.id == event.data.fd; });
      if (child != children.end()) collect_one(static_cast<std::size_t>(child - children.begin()));
    }
  }
}

bool ChildProcesses::wait_until_none(steady_clock::time_point deadline) {
  std::unique_lock lock(mutex_);
  ++table_->waiting;
  for (;;) {
    watch_new();
    collect_ended();
    const auto now = detail::now();
    if (table_->children.empty() || now >= deadline || stop_waiting_) break;
    const auto until =
        count_of(Watch::impossible) > 0 ? std::min(deadline, now + interval_without_descriptor) : deadline;
    lock.unlock();
    std::array<pollfd, 2> watched{{{ended_.get(), POLLIN, 0}, {none_left_.get(), POLLIN, 0}}};
    ::poll(watched.data(), watched.size(), milliseconds_until(until));
    lock.lock();
  }
  if (--table_->waiting == 0) {
    std::uint64_t count = 0;
    [[maybe_unused]] const ssize_t result = ::read(none_left_.get(), &count, sizeof count);
  }
  return table_->children.empty();
}

void ChildProcesses::stop_waiting() noexcept {
  stop_waiting_ = true;
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(none_left_.get(), &one, sizeof one);
}

std::size_t ChildProcesses::signal_all(int signal) noexcept {
  const std::scoped_lock lock(mutex_);
  watch_new();
  for (const Child& child : table_->children) ChildProcesses::signal(child, signal);
  return table_->children.size();
}

void ChildProcesses::signal(pid_t child, int signal) noexcept {
  const std::scoped_lock lock(mutex_);
  for (const Child& each : table_->children) {
    if (each.id == child) ChildProcesses::signal(each, signal);
  }
}

void ChildProcesses::signal(const Child& child, int signal) noexcept {
  if (child.descriptor >= 0) {
    ::syscall(SYS_pidfd_send_signal, child.descriptor, signal, nullptr, 0);
  } else {
    ::kill(child.id, signal);  // a child that we have not reaped: the id cannot be another's
  }
}

pid_t fork_with_notice(const std::function<void(boost::asio::execution_context::fork_event)>& notify,
                       const std::function<pid_t()>& fork) {
  // The child starts with a copy of what the standard streams hold, which must not be written twice.
  flush_standard_streams();
  notify(boost::asio::execution_context::fork_prepare);
  pid_t child = -1;
  try {
    child = fork();
  } catch (...) {
    notify(boost::asio::execution_context::fork_parent);
    throw;
  }
  if (child != 0) notify(boost::asio::execution_context::fork_parent);
  return child;
}

void ChildProcesses::exit_from_child(int status) noexcept {
  flush_standard_streams();
  if (own_exit_flag_ >= 0) (*exit_flags_)[static_cast<std::size_t>(own_exit_flag_)] = true;
  ::_exit(status);
}

}  // namespace sockserv::inline abi_0::detail
