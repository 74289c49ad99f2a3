// What sockserv-bench measures: an echo server under every mixin, which can do some work before each answer.
//
//     sockserv-bench-server --mixin fiber --sleep-ms 5
//
// The handlers are those of examples/echo_server, but for the work, the length of a line, and TCP_NODELAY, which all
// servers have that sockserv-bench compares.

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <sockserv.hpp>

#include "support/serve.hpp"

namespace {

using Clock = std::chrono::steady_clock;
using Microseconds = std::chrono::duration<double, std::micro>;

/// What a handler does for each line or packet; nothing, unless the command line says so.
struct Work {
  double compute_us = 0;
  double sleep_ms = 0;
  std::uint64_t steps = 0;  ///< What `compute_us` comes to on this machine.
};
Work work;

/// Keeps a core busy; the same number of steps is the same work, however many others compute at the time.
void compute(std::uint64_t steps) {
  std::uint64_t value = steps;
  for (std::uint64_t i = 0; i < steps; ++i) {
    value = value * 6364136223846793005U + 1442695040888963407U;
    asm volatile("" : "+r"(value));  // so that the compiler does not see through it
  }
}

/// How many steps take so long: by the fastest of several attempts, in which nobody has come in between.
std::uint64_t steps_in(Microseconds time) {
  constexpr std::uint64_t steps = 1'000'000;
  auto fastest = Microseconds::max();
  for (int i = 0; i < 5; ++i) {
    const auto begin = Clock::now();
    compute(steps);
    fastest = std::min<Microseconds>(fastest, Clock::now() - begin);
  }
  return static_cast<std::uint64_t>(time / fastest * static_cast<double>(steps));
}

void do_work() {
  if (work.steps > 0) compute(work.steps);
  if (work.sleep_ms > 0) {
    const std::chrono::duration<double, std::milli> time(work.sleep_ms);
    sockserv::this_request::sleep_for(std::chrono::duration_cast<Clock::duration>(time));
  }
}

struct EchoLines : sockserv::StreamRequestHandler {
  static constexpr std::size_t longest_line = std::size_t{1} << 30;

  EchoLines() { disable_nagle_algorithm = true; }

  void handle() override {
    while (const auto line = rfile.readline(longest_line)) {
      do_work();
      wfile.write(*line);
    }
  }
};

struct EchoPacket : sockserv::DatagramRequestHandler {
  void handle() override {
    do_work();
    wfile.write(packet);
  }
};

void declare_options(CLI::App& app) {
  app.add_option("--compute-us", work.compute_us, "Compute for so long before each answer")
      ->type_name("MICROSECONDS")
      ->check(CLI::Range(0.0, 1e6));
  app.add_option("--sleep-ms", work.sleep_ms, "Sleep for so long before each answer")
      ->type_name("MILLISECONDS")
      ->check(CLI::Range(0.0, 1e4));
  app.parse_complete_callback([] {
    if (work.compute_us > 0) work.steps = steps_in(Microseconds(work.compute_us));
  });
}

}  // namespace

int main(int argc, char** argv) {
  return example::serve_any<EchoLines, EchoPacket>(argc, argv,
                                                   {.purpose = "Sends every line or packet back, after some work.",
                                                    .listen = "tcp://127.0.0.1:0",
                                                    .declare_options = declare_options});
}
