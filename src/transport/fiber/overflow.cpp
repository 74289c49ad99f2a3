#include "overflow.hpp"

#include <signal.h>

#include <array>
#include <cstddef>
#include <mutex>

#include "../../base/standard_error.hpp"
#include "loop.hpp"

namespace sockserv::inline abi_0::fiber {
namespace {

constexpr std::array<int, 2> signals{SIGSEGV, SIGBUS};

std::mutex mutex;  // guards what follows
std::size_t watches = 0;
std::array<struct sigaction, signals.size()> before{};

void handle(int signal, siginfo_t* info, void* context) {
  const Loop* const loop = Loop::current();
  if (loop && loop->running_fiber_guards(info->si_addr)) {
    detail::write_last_line(loop->overflow_message());
  }
  const struct sigaction& next = before[signal == SIGSEGV ? 0 : 1];
  if ((next.sa_flags & SA_SIGINFO) != 0) return next.sa_sigaction(signal, info, context);
  if (next.sa_handler != SIG_DFL && next.sa_handler != SIG_IGN) return next.sa_handler(signal);
  // Returning repeats what failed, and the default action then ends the program as it should: with a core dump.
  ::signal(signal, SIG_DFL);
}

}  // namespace

OverflowWatch::OverflowWatch(char* stack) noexcept {
  stack_t mine{};
  mine.ss_sp = stack;
  mine.ss_size = stack_size;
  ::sigaltstack(&mine, &stack_before_);

  const std::scoped_lock lock(mutex);
  if (watches++ > 0) return;
  struct sigaction action{};
  action.sa_sigaction = handle;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  for (std::size_t i = 0; i < signals.size(); ++i) ::sigaction(signals[i], &action, &before[i]);
}

OverflowWatch::~OverflowWatch() {
  {
    const std::scoped_lock lock(mutex);
    for (std::size_t i = 0; watches == 1 && i < signals.size(); ++i) {
      struct sigaction now{};
      ::sigaction(signals[i], nullptr, &now);
      if (now.sa_sigaction == handle) ::sigaction(signals[i], &before[i], nullptr);  // else it is another's by now
    }
    --watches;
  }
  ::sigaltstack(&stack_before_, nullptr);
}

}  // namespace sockserv::inline abi_0::fiber
