#include "stop_event.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <exception>
#include <sockserv/error.hpp>
#include <thread>
#include <utility>

#include "../base/signals_blocked.hpp"

namespace sockserv::inline abi_0::detail {

StopEvent::StopEvent() : after_grace_(::eventfd(0, EFD_CLOEXEC)), at_once_(::eventfd(0, EFD_CLOEXEC)) {
  if (!after_grace_ || !at_once_) throw_error(last_system_error(), "an eventfd to stop children");
}

void StopEvent::set(EndIdle when) noexcept {
  const std::uint64_t one = 1;
  const int event = (when == EndIdle::at_once ? at_once_ : after_grace_).get();
  [[maybe_unused]] const ssize_t result = ::write(event, &one, sizeof one);
}

void StopEvent::call_when_set(std::function<void(EndIdle)> action) const {
  const SignalsBlocked blocked;
  try {
    std::thread([after_grace = after_grace_.get(), at_once = at_once_.get(), action = std::move(action)] {
      std::array<pollfd, 2> watched{{{at_once, POLLIN, 0}, {after_grace, POLLIN, 0}}};
      while (watched[0].revents == 0) {
        if (::poll(watched.data(), watched.size(), -1) <= 0) continue;  // the process was stopped and continued
        action(watched[0].revents != 0 ? EndIdle::at_once : EndIdle::after_grace);
        watched[1].fd = -1;
      }
    }).detach();
  } catch (const std::exception&) {
    return;  // as documented
  }
}

}  // namespace sockserv::inline abi_0::detail
