#include "parent_link.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <future>
#include <sockserv/error.hpp>
#include <thread>

#include "../base/signals_blocked.hpp"

namespace sockserv::inline abi_0::detail {

void ParentLink::listen(std::function<std::size_t(WorkerCommand)> handle) {
  finish_ = Descriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!finish_) throw_error(last_system_error(), "an eventfd to stop a worker");
  const SignalsBlocked blocked;
  std::promise<void> started;
  std::future<void> is_started = started.get_future();
  std::thread([this, handle = std::move(handle), started = std::move(started)]() mutable {
    started.set_value();
    for (;;) {
      std::array<pollfd, 3> watched{{{channel_.get(), POLLIN, 0}, {parent_, POLLIN, 0}, {finish_.get(), POLLIN, 0}}};
      if (::poll(watched.data(), watched.size(), -1) <= 0) continue;  // the process was stopped and continued
      WorkerCommand command{};
      // The channel's end is not enough: another process may have a copy of the parent's end of it, if the program
      // forked for reasons of its own.
      const bool orphaned = watched[1].revents != 0;
      if (!orphaned && watched[2].revents != 0) {
        std::uint64_t count = 0;
        [[maybe_unused]] const ssize_t result = ::read(finish_.get(), &count, sizeof count);
        handle(WorkerCommand::finish);
        continue;
      }
      if (orphaned || ::recv(channel_.get(), &command, sizeof command, 0) <= 0) ::_exit(1);
      const std::size_t answer = handle(command);
      if (command == WorkerCommand::abort) {
        ::send(channel_.get(), &answer, sizeof answer, MSG_NOSIGNAL | MSG_DONTWAIT);
      }
    }
  }).detach();
  // A worker that nobody could stop must not become ready.
  is_started.wait();
}

void ParentLink::finish() noexcept {
  const int saved = errno;  // a signal handler may be calling
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t result = ::write(finish_.get(), &one, sizeof one);
  errno = saved;
}

void ParentLink::add_siblings(ServerStats& stats) const noexcept {
  for (const WorkerSlot& slot : slots_) {
    if (&slot != &own_slot()) stats += stats_of(slot.counters);
  }
}

}  // namespace sockserv::inline abi_0::detail
