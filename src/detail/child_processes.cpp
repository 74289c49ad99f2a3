#include <sockserv/detail/child_processes.hpp>

#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <iostream>
#include <sockserv/error.hpp>

namespace sockserv::detail {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

/// How often to look for children that could not be given a descriptor.
constexpr milliseconds look_interval(20);

int open_pidfd(pid_t child) noexcept { return static_cast<int>(::syscall(SYS_pidfd_open, child, 0)); }

}  // namespace

ChildProcesses::ChildProcesses() : ended_(::epoll_create1(EPOLL_CLOEXEC)) {
  if (!ended_) throw_error(last_system_error(), "epoll_create1");
}

pid_t ChildProcesses::add(const std::function<pid_t()>& fork) {
  const std::scoped_lock lock(mutex_);  // across the fork, so that the child's copy is whole and free
  const pid_t child = fork();
  if (child == 0) {
    children_.clear();
    unwatched_ = 0;
    ended_.reset();
  } else {
    watch(child);
  }
  return child;
}

/// Never fails: where the system has no descriptor left, the child is found by looking.
void ChildProcesses::watch(pid_t child) {
  Descriptor watched(open_pidfd(child));
  if (watched) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = child;
    if (::epoll_ctl(ended_.get(), EPOLL_CTL_ADD, watched.get(), &event) != 0) watched.reset();
  }
  if (!watched) ++unwatched_;
  children_.emplace(child, std::move(watched));
}

std::set<pid_t> ChildProcesses::active() const {
  const std::scoped_lock lock(mutex_);
  std::set<pid_t> ids;
  for (const auto& [child, watched] : children_) ids.insert(child);
  return ids;
}

std::size_t ChildProcesses::size() const {
  const std::scoped_lock lock(mutex_);
  return children_.size();
}

/// Reaps the child if it has ended, and moves on to the next.
bool ChildProcesses::collect_one(std::map<pid_t, Descriptor>::iterator& child) {
  pid_t result = 0;
  do {
    result = ::waitpid(child->first, nullptr, WNOHANG);
  } while (result < 0 && errno == EINTR);
  // An error means that somebody else has reaped it, or that the program ignores SIGCHLD: it is gone either way.
  const bool ended = result != 0;
  if (!ended) {
    ++child;
    return false;
  }
  if (!child->second) --unwatched_;
  child = children_.erase(child);
  return true;
}

void ChildProcesses::collect() {
  const std::scoped_lock lock(mutex_);
  if (unwatched_ > 0) {
    for (auto child = children_.begin(); child != children_.end();) collect_one(child);
    return;
  }
  std::array<epoll_event, 16> events;
  for (bool more = !children_.empty(); more;) {
    const int count = ::epoll_wait(ended_.get(), events.data(), static_cast<int>(events.size()), 0);
    more = count == static_cast<int>(events.size());
    for (int i = 0; i < count; ++i) {
      auto child = children_.find(events[static_cast<std::size_t>(i)].data.fd);
      if (child != children_.end()) collect_one(child);
    }
  }
}

bool ChildProcesses::wait_until_none(steady_clock::time_point deadline) {
  for (;;) {
    collect();
    bool must_look = false;
    {
      const std::scoped_lock lock(mutex_);
      if (children_.empty()) return true;
      must_look = unwatched_ > 0;
    }
    const auto now = steady_clock::now();
    if (now >= deadline) return false;
    auto wait =
        std::chrono::ceil<milliseconds>(std::min<steady_clock::duration>(deadline - now, std::chrono::hours(1)));
    if (must_look) wait = std::min(wait, look_interval);
    pollfd ended{ended_.get(), POLLIN, 0};
    ::poll(&ended, 1, static_cast<int>(wait.count()));
  }
}

std::size_t ChildProcesses::signal_all(int signal) noexcept {
  const std::scoped_lock lock(mutex_);
  for (const auto& [child, watched] : children_) {
    if (watched) {
      ::syscall(SYS_pidfd_send_signal, watched.get(), signal, nullptr, 0);
    } else {
      ::kill(child, signal);  // a child that we have not reaped: the id cannot be another's
    }
  }
  return children_.size();
}

void exit_child(int status) noexcept {
  std::fflush(nullptr);
  std::cout.flush();
  std::clog.flush();
  ::_exit(status);
}

}  // namespace sockserv::detail
