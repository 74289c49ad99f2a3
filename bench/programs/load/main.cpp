/// sockserv-load: puts a server on this machine under load, checks every answer, and prints the figures as one line of
/// JSON.

#include <sys/prctl.h>
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "idle.hpp"
#include "options.hpp"
#include "run.hpp"
#include "target.hpp"

namespace {

using load::Options;
using seconds = std::chrono::duration<double>;

/// Makes use of all descriptors that the process may have.
/// @throws std::invalid_argument if they are too few.
void make_room_for(unsigned clients) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  constexpr rlim_t others = 16;
  if (clients + others <= limit.rlim_cur) return;
  throw std::invalid_argument("no room for " + std::to_string(clients) + " clients: the limit of descriptors is " +
                              std::to_string(limit.rlim_cur) + ", see ulimit -Hn");
}

std::vector<std::unique_ptr<load::Client>> make_clients(const Options& options, load::Target& target) {
  std::vector<std::unique_ptr<load::Client>> clients;
  for (unsigned i = 0; i < options.clients; ++i)
    clients.push_back(options.chosen_mode().make_client(target, options.size));
  return clients;
}

void print(const load::Result& result) {
  const auto microseconds = [](std::chrono::nanoseconds time) { return static_cast<double>(time.count()) / 1000; };
  const auto percentile = [&](double percent) { return microseconds(result.latency.percentile(percent)); };
  std::printf(
      "{\"requests\": %llu, \"answers\": %llu, \"seconds\": %.3f, \"rate\": %.1f, \"errors\": %zu, \"stalled\": %zu, "
      "\"lost\": %zu, "
      "\"latency_us\": {\"p50\": %.1f, \"p90\": %.1f, \"p99\": %.1f, \"p99.9\": %.1f, \"max\": %.1f}}\n",
      static_cast<unsigned long long>(result.answered), static_cast<unsigned long long>(result.answers),
      result.measured.count(), static_cast<double>(result.answered) / result.measured.count(), result.errors,
      result.stalled, result.lost, percentile(50), percentile(90), percentile(99), percentile(99.9),
      microseconds(result.latency.max()));
}

/// @returns true if all clients were served to the end.
bool measure(const Options& options, load::Run& run) {
  if (const std::size_t unanswered = run.ask_all()) {
    throw std::runtime_error(std::to_string(unanswered) + " clients were not answered, and none for 10 seconds");
  }
  const load::Result& result = run.measure({.warmup = seconds(options.warmup),
                                            .measured = seconds(options.seconds),
                                            .rate = options.rate,
                                            .depth = options.is_pipeline() ? options.depth : 1});
  print(result);
  return result.errors + result.stalled == 0;
}

int put_under_load(const Options& options) {
  make_room_for(options.clients);
  // Otherwise the kernel may let us sleep 50 microseconds longer than we asked for, and requests would be sent late.
  ::prctl(PR_SET_TIMERSLACK, 1UL);

  load::Target target(options.url);
  if (target.has_sources()) target.skip_sources(options.source_offset);
  load::Run run(make_clients(options, target));
  const bool good =
      options.is_idle() ? load::hold_idle(run, options.clients, seconds(options.seconds)) : measure(options, run);
  if (run.result().errors > 0) {
    std::fprintf(stderr, "sockserv-load: a client failed: %s\n", run.result().first_error.c_str());
  }
  return good ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const auto options = load::read_options(argc, argv);
    return options ? put_under_load(*options) : 0;
  } catch (const std::invalid_argument& error) {
    std::fprintf(stderr, "sockserv-load: %s\nTry sockserv-load --help.\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "sockserv-load: %s\n", error.what());
    return 1;
  }
}
