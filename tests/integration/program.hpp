#pragma once

/// Servers that run in a process of their own.

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <optional>
#include <sockserv/run.hpp>
#include <string>
#include <system_error>
#include <utility>

#include "support/support.hpp"

namespace program {

using namespace sockserv;
using namespace support;

/// A program that runs a server on a Unix path, in a process of its own.
class Program {
 public:
  template <class Server>
  static Program start(const std::string& path, const RunOptions& options) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::setpgid(0, 0);
      // The subject must end by itself whatever becomes of this test.
      ::alarm(static_cast<unsigned>(patience.count()));
      ::signal(SIGTERM, SIG_DFL);
      ::signal(SIGINT, SIG_DFL);
      Server server(path, quiet());
      ::_exit(run(server, options));
    }
    CHECK(eventually([&] { return std::filesystem::is_socket(path); }));
    return Program(child);
  }

  void signal(int number) const { ::kill(child_, number); }
  /// Sends it to all processes of the program, as a terminal does, or a service manager.
  void signal_all(int number) const { ::kill(-child_, number); }

  bool has_ended() const {
    siginfo_t info{};
    return ::waitid(P_PID, static_cast<id_t>(child_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0;
  }

  /// Its exit status, or minus the signal that ended it.
  int wait() const {
    int status = 0;
    ::waitpid(child_, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

 private:
  explicit Program(pid_t child) : child_(child) {}
  pid_t child_;
};

/// Connects once the program listens: its path appears between bind and listen.
inline StreamClient connect_to(const std::string& path) {
  std::optional<StreamClient> client;
  eventually([&] {
    try {
      client.emplace(Address(path));
      return true;
    } catch (const std::system_error&) {
      return false;
    }
  });
  return std::move(client.value());
}

}  // namespace program
