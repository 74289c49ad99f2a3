#include "idle.hpp"

#include <csignal>
#include <cstdio>

namespace load {
namespace {

volatile std::sig_atomic_t told_to_end = 0;

/// Has all clients answered, and says how that went.
bool ask_all(Run& run, const char* when, std::size_t clients) {
  const auto begin = Clock::now();
  const std::size_t unanswered = run.ask_all();
  const std::size_t errors = run.result().errors;
  std::printf("{\"%s\": %zu, \"unanswered\": %zu, \"errors\": %zu, \"seconds\": %.3f}\n", when,
              clients - unanswered - errors, unanswered, errors,
              std::chrono::duration<double>(Clock::now() - begin).count());
  std::fflush(stdout);
  return unanswered + errors == 0;
}

}  // namespace

bool hold_idle(Run& run, std::size_t clients, std::chrono::duration<double> time) {
  for (const int signal : {SIGTERM, SIGINT}) std::signal(signal, [](int) { told_to_end = 1; });
  if (!ask_all(run, "connected", clients)) return false;
  const auto end = Clock::now() + std::chrono::duration_cast<Clock::duration>(time);
  while (!told_to_end && Clock::now() < end) run.turn(std::min(end, Clock::now() + std::chrono::milliseconds(100)));
  return ask_all(run, "alive", clients);
}

}  // namespace load
