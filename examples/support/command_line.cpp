#include "command_line.hpp"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <chrono>
#include <exception>
#include <filesystem>
#include <iostream>
#include <sockserv/log.hpp>
#include <sockserv/run.hpp>
#include <sstream>
#include <stdexcept>
#include <string>
#include <system_error>

#include "printable.hpp"

namespace example {
namespace {

sockserv::Address unix_address(std::string_view path) {
  std::string name(path);
  if (name.starts_with('@')) name.front() = '\0';  // that is how the system marks abstract names
  return {name};
}

sockserv::Address ip_address(std::string_view host_and_port) {
  const std::size_t colon = host_and_port.rfind(':');
  if (colon == host_and_port.npos) throw std::invalid_argument("the port is missing");
  std::string_view host = host_and_port.substr(0, colon);
  const std::string_view port = host_and_port.substr(colon + 1);

  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != host.npos) {
    throw std::invalid_argument("an IPv6 address goes in brackets, as in [::1]:9000");
  }
  int number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (error != std::errc() || end != port.data() + port.size()) {
    throw std::invalid_argument("'" + std::string(port) + "' is not a port number");
  }
  return {host, number};
}

/// To standard error. A program whose standard error nobody reads still exits.
void write_last_line(const std::string& line) {
  sockserv::LineWriter(STDERR_FILENO).write({line}, std::chrono::milliseconds(100));
}

}  // namespace

std::string_view scheme_of(std::string_view url) {
  const std::size_t colon = url.find("://");
  return colon == url.npos ? "" : url.substr(0, colon);
}

sockserv::Address address_of(std::string_view url) {
  const std::string_view scheme = scheme_of(url);
  if (scheme.empty()) throw std::invalid_argument("a URL looks like tcp://127.0.0.1:9000");
  const std::string_view rest = url.substr(scheme.size() + 3);
  return scheme.starts_with("unix") ? unix_address(rest) : ip_address(rest);
}

sockserv::Address server_address(const std::string& url) {
  try {
    sockserv::Address address = address_of(url);
    if (address.is_ip() && address.port() == 0) throw std::invalid_argument("no server has port 0");
    return address;
  } catch (const std::invalid_argument& error) {
    throw CLI::ValidationError("--server", url + ": " + error.what());
  }
}

int run_program(int argc, char** argv, std::string_view purpose, const std::function<void(CLI::App&)>& declare_options,
                const std::function<int()>& body) {
  const std::string program = std::filesystem::path(argv[0]).filename();
  CLI::App app(std::string(purpose), program);
  app.failure_message([&](const CLI::App*, const CLI::Error& error) {
    return program + ": " + error.what() + "\nTry " + program + " --help.\n";
  });
  declare_options(app);
  try {
    app.parse(argc, argv);
    return body();
  } catch (const CLI::ParseError& error) {
    std::ostringstream message;
    if (app.exit(error, std::cout, message) == 0) return sockserv::exit_clean;  // it was --help
    write_last_line(message.str());
    return exit_usage;
  } catch (const std::exception& error) {
    write_last_line(program + ": " + printable(error.what()) + '\n');
    return sockserv::exit_error;
  }
}

}  // namespace example
