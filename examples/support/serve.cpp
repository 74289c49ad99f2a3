#include "serve.hpp"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <sockserv/detail/processors.hpp>
#include <sockserv/detail/settings.hpp>
#include <stdexcept>

namespace example {
namespace {

/// The command line as it was given.
struct Arguments {
  std::string listen;
  std::string mixin;
  std::optional<std::size_t> workers;
  int busy_poll;  // microseconds
  std::optional<int> wbufsize;
  std::optional<int> max_connections;
  std::optional<int> idle_timeout;     // seconds
  std::optional<int> request_timeout;  // seconds
  std::optional<int> min_receive_rate;
  int drain = 30;
};

bool is_unix(std::string_view scheme) { return scheme.starts_with("unix"); }
bool serves_streams(std::string_view scheme) { return scheme == "tcp" || scheme == "unix"; }

/// The schemes or the mixins among the choices, each once.
std::vector<std::string> distinct(std::span<const Choice> choices, std::string_view Choice::* member) {
  std::vector<std::string> values;
  for (const Choice& choice : choices) {
    if (std::find(values.begin(), values.end(), choice.*member) == values.end()) {
      values.emplace_back(choice.*member);
    }
  }
  return values;
}

/// "tcp://HOST:PORT, unix://PATH|@NAME"
std::string url_forms(std::span<const Choice> choices) {
  std::string forms;
  for (const std::string& scheme : distinct(choices, &Choice::scheme)) {
    forms += (forms.empty() ? "" : ", ") + scheme + (is_unix(scheme) ? "://PATH|@NAME" : "://HOST:PORT");
  }
  return forms;
}

void declare_connection_options(CLI::App& app, Arguments& arguments) {
  const auto option = [&](const char* name, const char* type, std::optional<int>& value, const char* meaning) {
    app.add_option(name, value, meaning)->type_name(type)->check(CLI::Range(1, 1'000'000'000))->group("Connections");
  };
  option("--wbufsize", "BYTES", arguments.wbufsize, "Collect so much of a reply before it is sent");
  option("--max-connections", "N", arguments.max_connections, "The most connections at a time");
  option("--idle-timeout", "SECONDS", arguments.idle_timeout, "Abort clients that neither send nor take anything");
  option("--request-timeout", "SECONDS", arguments.request_timeout, "Abort connections that last for longer");
  option("--min-receive-rate", "BYTES", arguments.min_receive_rate,
         "The least bytes per second of a line that has begun");
}

void declare_listen(CLI::App& app, std::span<const Choice> choices, Arguments& arguments) {
  const std::string where = "Where to listen: " + url_forms(choices);
  app.add_option("--listen", arguments.listen, where + "\n(port 0 picks a free one)")
      ->type_name("URL")
      ->capture_default_str();
}

void declare_server_options(CLI::App& app, std::span<const Choice> choices, Arguments& arguments) {
  if (!arguments.mixin.empty()) {
    app.add_option("--mixin", arguments.mixin, "Who runs a request")
        ->type_name("NAME")
        ->check(CLI::IsMember(distinct(choices, &Choice::mixin)))
        ->capture_default_str();
    app.add_option("--workers", arguments.workers,
                   "The most requests at a time, under a mixin; with fibers, how\nmany threads or processes run them")
        ->type_name("N")
        ->check(CLI::Range(1, 1'000'000));
    app.add_option("--busy-poll", arguments.busy_poll,
                   "With fibers: for how long a thread without work looks for\nmore before it sleeps")
        ->type_name("MICROSECONDS")
        ->check(CLI::Range(0, 1000))
        ->capture_default_str();
  }
  if (std::any_of(choices.begin(), choices.end(), [](const Choice& choice) { return serves_streams(choice.scheme); })) {
    declare_connection_options(app, arguments);
  }
}

void declare_drain(CLI::App& app, Arguments& arguments) {
  app.add_option("--drain", arguments.drain, "How long requests may take to finish at the end")
      ->type_name("SECONDS")
      ->check(CLI::Range(0, 86'400))
      ->capture_default_str();
  app.footer(
      "SIGINT and SIGTERM let requests finish and then end the server; a second one\n"
      "ends it at once. Exit codes: 0 all requests were finished, 1 an error such as\n"
      "an address in use, 2 bad usage, 75 requests had to be aborted.");
}

/// Takes a URL apart into scheme and address.
void read_url(const std::string& url, std::span<const Choice> choices, Options& options) {
  options.scheme = scheme_of(url);
  const std::vector<std::string> schemes = distinct(choices, &Choice::scheme);
  if (std::find(schemes.begin(), schemes.end(), options.scheme) == schemes.end()) {
    throw std::invalid_argument("this server listens on " + url_forms(choices));
  }
  options.address = address_of(url);
}

sockserv::ServerOptions server_options(const Arguments& arguments) {
  sockserv::ServerOptions options;
  options.max_connections = static_cast<std::size_t>(arguments.max_connections.value_or(0));
  if (arguments.idle_timeout) options.idle_timeout = std::chrono::seconds(*arguments.idle_timeout);
  if (arguments.request_timeout) options.request_timeout = std::chrono::seconds(*arguments.request_timeout);
  options.min_receive_rate = static_cast<std::size_t>(arguments.min_receive_rate.value_or(0));
  return options;
}

/// Threads and processes that serve from the start are fewer than those that come with requests.
/// @throws CLI::ValidationError
void check_workers(const Arguments& arguments) {
  if (arguments.workers && arguments.mixin == "none") {
    throw CLI::ValidationError("--workers", "there are none without a mixin; see --mixin");
  }
  const bool has_processes = arguments.mixin.starts_with("preforking");
  const std::size_t workers = arguments.workers.value_or(sockserv::detail::processors());
  if ((has_processes || arguments.mixin == "fiber") && workers > sockserv::detail::most_processors) {
    throw CLI::ValidationError("--workers", "with --mixin " + arguments.mixin + " at most " +
                                                std::to_string(sockserv::detail::most_processors));
  }
  if (has_processes && arguments.max_connections && static_cast<std::size_t>(*arguments.max_connections) < workers) {
    throw CLI::ValidationError("--max-connections",
                               "each of the " + std::to_string(workers) + " processes needs one; see --workers");
  }
}

/// What the arguments mean.
/// @throws CLI::ValidationError if they mean nothing.
std::pair<const Choice&, Options> interpret(const Arguments& arguments, std::span<const Choice> choices) {
  Options options;
  options.workers = arguments.workers;
  options.wbufsize = static_cast<std::size_t>(arguments.wbufsize.value_or(0));
  options.busy_poll = std::chrono::microseconds(arguments.busy_poll);
  options.server = server_options(arguments);
  options.drain_limit = std::chrono::seconds(arguments.drain);
  check_workers(arguments);
  try {
    read_url(arguments.listen, choices, options);
  } catch (const std::invalid_argument& error) {
    throw CLI::ValidationError("--listen", arguments.listen + ": " + error.what());
  }
  const auto chosen = std::find_if(choices.begin(), choices.end(), [&](const Choice& choice) {
    return choice.scheme == options.scheme && choice.mixin == arguments.mixin;
  });
  return {*chosen, options};
}

}  // namespace

int serve_choice(int argc, char** argv, const About& about, std::span<const Choice> choices) {
  Arguments arguments;
  arguments.listen = about.listen;
  arguments.busy_poll = static_cast<int>(about.busy_poll.count());
  arguments.mixin = about.mixin.empty() ? choices.front().mixin : about.mixin;
  const auto declare = [&](CLI::App& app) {
    declare_listen(app, choices, arguments);
    declare_server_options(app, choices, arguments);
    declare_drain(app, arguments);
    if (about.declare_options) about.declare_options(app);
  };
  return run_program(argc, argv, about.purpose, declare, [&] {
    const auto [choice, options] = interpret(arguments, choices);
    return choice.serve(options);
  });
}

sockserv::RunOptions Options::announcing(const sockserv::AbstractServer& served) const {
  // A reader of the line may send a signal at once, so it is printed once signals are handled.
  const auto announce = [this, &served] {
    const std::string url = scheme + "://" + served.server_address().to_string();
    sockserv::LineWriter(STDOUT_FILENO).write({"listening on ", url, "\n"});  // even if nobody reads it
  };
  return {.drain_limit = drain_limit, .on_ready = announce};
}

}  // namespace example
