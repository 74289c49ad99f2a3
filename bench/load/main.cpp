/// sockserv-load: puts a server on this machine under load, checks every answer, and prints the figures as one line of
/// JSON.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "connect.hpp"
#include "ping_pong.hpp"
#include "run.hpp"
#include "target.hpp"

namespace {

template <class Kind>
std::unique_ptr<load::Client> make(load::Target& target) {
  return std::make_unique<Kind>(target);
}

/// Each mode is a kind of client.
const std::map<std::string, std::unique_ptr<load::Client> (*)(load::Target&)> modes = {
    {"ping-pong", make<load::PingPong>}, {"connect", make<load::Connect>}};

struct Options {
  std::string mode;
  std::string url;
  int clients = 64;
  double seconds = 2;
  double warmup = 0.2;
};

void describe(CLI::App& app, Options& options) {
  app.add_option("mode", options.mode,
                 "ping-pong: each client keeps a connection, one line in flight;\n"
                 "connect: each client connects, sends a line, closes, and again")
      ->required()
      ->check(CLI::IsMember(modes));
  app.add_option("target", options.url, "tcp://127.0.0.1:PORT, udp://..., unix://PATH or unixgram://PATH")->required();
  app.add_option("--clients", options.clients, "How many clients at a time")
      ->check(CLI::Range(1, 20'000))
      ->capture_default_str();
  app.add_option("--seconds", options.seconds, "How long to measure")
      ->check(CLI::Range(0.01, 3600.0))
      ->capture_default_str();
  app.add_option("--warmup", options.warmup, "How many seconds to go on before that, once all have been answered")
      ->check(CLI::Range(0.0, 60.0))
      ->capture_default_str();
}

std::vector<std::unique_ptr<load::Client>> make_clients(const Options& options, load::Target& target) {
  std::vector<std::unique_ptr<load::Client>> clients;
  for (int i = 0; i < options.clients; ++i) clients.push_back(modes.at(options.mode)(target));
  return clients;
}

void print(const load::Result& result) {
  const auto requests = result.latency.count();
  const auto microseconds = [](std::chrono::nanoseconds time) { return static_cast<double>(time.count()) / 1000; };
  const auto percentile = [&](double percent) { return microseconds(result.latency.percentile(percent)); };
  std::printf(
      "{\"requests\": %llu, \"seconds\": %.3f, \"rate\": %.1f, \"errors\": %zu, \"stalled\": %zu, "
      "\"latency_us\": {\"p50\": %.1f, \"p90\": %.1f, \"p99\": %.1f, \"p99.9\": %.1f, \"max\": %.1f}}\n",
      static_cast<unsigned long long>(requests), result.seconds.count(),
      static_cast<double>(requests) / result.seconds.count(), result.errors, result.stalled, percentile(50),
      percentile(90), percentile(99), percentile(99.9), microseconds(result.latency.max()));
}

int put_under_load(const Options& options, load::Target& target) {
  using seconds = std::chrono::duration<double>;
  load::Run run(make_clients(options, target));
  const load::Result result = run.measure({.warmup = seconds(options.warmup), .measured = seconds(options.seconds)});
  print(result);
  if (result.errors > 0) std::fprintf(stderr, "sockserv-load: a client failed: %s\n", result.first_error.c_str());
  return result.errors + result.stalled == 0 ? 0 : 1;
}

int load_as_told(int argc, char** argv) {
  CLI::App app(
      "Puts a server on this machine under load, checks that every line comes back as it was, and prints\n"
      "the figures as one line of JSON. Exit status: 0 if all went well, 1 if clients failed or stalled,\n"
      "2 on bad usage.");
  Options options;
  describe(app, options);
  try {
    app.parse(argc, argv);
    load::Target target(options.url);
    if (options.mode == "connect" && !target.is_stream()) {
      throw std::invalid_argument("connect: a datagram server has no connections");
    }
    return put_under_load(options, target);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  } catch (const std::invalid_argument& error) {
    std::fprintf(stderr, "sockserv-load: %s\n", error.what());
    return 2;
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return load_as_told(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "sockserv-load: %s\n", error.what());
    return 1;
  }
}
