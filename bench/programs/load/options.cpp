#include "options.hpp"

#include <CLI/CLI.hpp>
#include <map>
#include <stdexcept>

#include "connect.hpp"
#include "ping_pong.hpp"
#include "pipeline.hpp"

namespace load {
namespace {

template <class Kind>
std::unique_ptr<Client> make(Target& target, std::size_t size) {
  return std::make_unique<Kind>(target, size);
}

constexpr std::size_t largest_line = std::size_t{1} << 30;
constexpr std::size_t largest_datagram = 65507;  // of UDP over IPv4

const std::map<std::string, Mode> modes = {{"ping-pong", {make<PingPong>, true, true}},
                                           {"connect", {make<Connect>, false, true}},
                                           {"pipeline", {make<Pipeline>, false, false}},
                                           {"idle", {make<PingPong>, false, false}}};

void describe(CLI::App& app, Options& options) {
  app.add_option("mode", options.mode,
                 "ping-pong: each client keeps a connection, one line in flight;\n"
                 "pipeline: each client keeps a connection, several lines in flight;\n"
                 "connect: each client connects, sends a line, closes, and again;\n"
                 "idle: each client connects, has a line answered, does nothing\n"
                 "for --seconds or until SIGTERM, and has another line answered")
      ->required()
      ->check(CLI::IsMember(modes));
  app.add_option("target", options.url,
                 "tcp://127.0.0.1:PORT, unix://PATH, and in ping-pong also\n"
                 "udp://127.0.0.1:PORT or unixgram://PATH, where what is lost is sent again")
      ->required();
  app.add_option("--clients", options.clients, "How many clients at a time")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  app.add_option("--size", options.size, "How many bytes a line has, with its newline")
      ->check(CLI::Range(Line::smallest, largest_line))
      ->capture_default_str();
  app.add_option("--seconds", options.seconds, "How long to measure, or to be idle")
      ->check(CLI::Range(0.01, 86'400.0))
      ->capture_default_str();
  app.add_option("--warmup", options.warmup,
                 "How many seconds to go on before that, once all have been answered;\nnot for idle")
      ->check(CLI::Range(0.0, 60.0))
      ->capture_default_str();
  app.add_option("--rate", options.rate,
                 "An open load of so many requests a second in all, sent when they are due\n"
                 "and not when the last one has come back; latency counts from when they\n"
                 "were due. In ping-pong and connect")
      ->check(CLI::Range(0.1, 10'000'000.0));
  app.add_option("--depth", options.depth, "How many lines a client has in flight; only in pipeline")
      ->check(CLI::Range(1, 128))
      ->capture_default_str();
  app.add_option("--source-offset", options.source_offset,
                 "Each process connects from 64 addresses, of which each allows for some\n"
                 "28,000 connections; the first is 127.0.0.2 plus this. Only for tcp")
      ->check(CLI::Range(0, 16'000'000))
      ->capture_default_str();
}

/// @throws std::invalid_argument for options that make no sense together.
void check(const CLI::App& app, const Options& options) {
  const Mode& mode = options.chosen_mode();
  const Target target(options.url);
  const auto require = [&](bool condition, const char* what) {
    if (!condition) throw std::invalid_argument(options.mode + ": " + what);
  };
  require(mode.with_datagrams || target.is_stream(), "a datagram server has no connections");
  require(target.is_stream() || options.size <= largest_datagram, "a datagram has no more than 65507 bytes");
  require(mode.with_rate || !options.rate, "there is no --rate");
  require(options.is_pipeline() || app.count("--depth") == 0, "there is no --depth");
  require(!options.is_idle() || app.count("--warmup") == 0, "there is no --warmup");
  require(target.has_sources() || app.count("--source-offset") == 0, "there is no --source-offset for this target");
}

}  // namespace

const Mode& Options::chosen_mode() const { return modes.at(mode); }

std::optional<Options> read_options(int argc, char** argv) {
  CLI::App app(
      "Puts a server on this machine under load, checks that every line comes back as it was, and prints\n"
      "the figures as one line of JSON. Exit status: 0 if all went well, 1 if clients failed or requests\n"
      "stalled, 2 on bad usage.");
  Options options;
  describe(app, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {
    app.exit(help);
    return std::nullopt;
  } catch (const CLI::ParseError& error) {
    throw std::invalid_argument(error.what());
  }
  check(app, options);
  return options;
}

}  // namespace load
