#include "stop_event.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>
#include <exception>
#include <sockserv/error.hpp>
#include <thread>
#include <utility>

#include "../base/signals_blocked.hpp"

namespace sockserv::inline abi_0::detail {

StopEvent::StopEvent() : event_(::eventfd(0, EFD_CLOEXEC)) {
  if (!event_) throw_error(last_system_error(), "an eventfd to stop children");
}

void StopEvent::set() noexcept {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t result = ::write(event_.get(), &one, sizeof one);
}

void StopEvent::call_when_set(std::function<void()> action) const {
  const SignalsBlocked blocked;
  try {
    std::thread([event = event_.get(), action = std::move(action)] {
      pollfd watched{event, POLLIN, 0};
      while (::poll(&watched, 1, -1) <= 0) continue;  // the process was stopped and continued
      action();
    }).detach();
  } catch (const std::exception&) {
    return;  // as documented
  }
}

}  // namespace sockserv::inline abi_0::detail
