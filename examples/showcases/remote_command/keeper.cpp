// The keeper of one command: starts it, and sees to it that nothing of it is left.
//
//     10_command_keeper SECONDS DIRECTORY COMMAND ARGUMENT...     started by 10_command_server, for each command
//
// It is a process of its own because then it works however the server ends, be it by SIGKILL. Its standard input is a
// socket whose other end the server has; the end of that stream tells it to end the command, as does the timeout.
// The command has a process group of its own, which gets SIGTERM, and what is there a second later gets SIGKILL. The
// same comes to what the command has left running when it ends by itself. What has fled from the group is found all the
// same: the keeper is a subreaper (PR_SET_CHILD_SUBREAPER), so those whose parents have ended become its children. When
// there are none, it says through the socket how the command has ended.

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <fstream>
#include <limits>
#include <string>
#include <system_error>
#include <vector>

#include "remote_command/protocol.hpp"
#include "remote_command/spawn.hpp"

namespace remote {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds grace{1};  // sockserv::run() gives requests that it has aborted two

/// A descriptor from which signals can be read: that a child has ended, and those that would end this process.
int signals_as_descriptor() {
  sigset_t signals;
  ::sigemptyset(&signals);
  for (const int signal : {SIGCHLD, SIGTERM, SIGINT, SIGHUP}) ::sigaddset(&signals, signal);
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
  const int descriptor = ::signalfd(-1, &signals, SFD_CLOEXEC);
  if (descriptor == -1) throw std::system_error(errno, std::generic_category(), "signalfd");
  return descriptor;
}

int next_signal(int signals) {
  signalfd_siginfo signal{};
  return ::read(signals, &signal, sizeof signal) == sizeof signal ? static_cast<int>(signal.ssi_signo) : SIGCHLD;
}

int milliseconds_until(Clock::time_point time) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(time - Clock::now()).count();
  return static_cast<int>(std::clamp<std::chrono::milliseconds::rep>(left, 0, std::numeric_limits<int>::max()));
}

// snippet: running
/// Collects the orphans that have ended; true once the command itself has. That is left as it is (WNOWAIT): as long as
/// it is not collected, no other group can get its number.
bool has_ended(pid_t command) {
  for (;;) {
    siginfo_t child{};
    if (::waitid(P_ALL, 0, &child, WEXITED | WNOHANG | WNOWAIT) != 0 || child.si_pid == 0) return false;
    if (child.si_pid == command) return true;
    ::waitpid(child.si_pid, nullptr, 0);
  }
}

/// Waits until the command has ended, or the server or a signal asks for it. False if the time is over before.
bool wait_for_end(pid_t command, int signals, Clock::time_point deadline) {
  std::array<pollfd, 2> awaited{{{STDIN_FILENO, POLLIN, 0}, {signals, POLLIN, 0}}};
  while (!has_ended(command)) {
    if (Clock::now() >= deadline) return false;
    if (::poll(awaited.data(), awaited.size(), milliseconds_until(deadline)) <= 0) continue;
    if (awaited[0].revents != 0) return true;
    if (next_signal(signals) != SIGCHLD) return true;
  }
  return true;
}
// snippet end

// snippet: ending
/// Collects all children that have ended; true if there are no others. Notes how the command has.
bool collect(pid_t command, int& status) {
  for (;;) {
    int child_status = 0;
    const pid_t child = ::waitpid(-1, &child_status, WNOHANG);
    if (child <= 0) return child == -1;
    if (child == command) status = child_status;
  }
}

/// Kills those who are children of this process by now. Their own children will be next.
void kill_children(pid_t command) {
  std::ifstream children("/proc/self/task/" + std::to_string(::getpid()) + "/children");
  if (!children) ::kill(-command, SIGKILL);  // a kernel without CONFIG_PROC_CHILDREN
  for (pid_t child = 0; children >> child;) ::kill(child, SIGKILL);
}

/// Ends what is left of the command. Returns its status, as of waitpid(2).
int end(pid_t command, int signals) {
  ::kill(-command, SIGTERM);
  ::kill(-command, SIGCONT);  // who is stopped hears nothing
  const auto deadline = Clock::now() + grace;
  pollfd awaited{signals, POLLIN, 0};
  int status = 0;
  while (!collect(command, status)) {
    const bool has_time = Clock::now() < deadline;
    if (!has_time) kill_children(command);
    if (::poll(&awaited, 1, has_time ? milliseconds_until(deadline) : 50) == 1) next_signal(signals);
  }
  return status;
}
// snippet end

Json keep(const std::string& seconds, const std::string& directory, const std::vector<std::string>& command) {
  try {
    ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    const int signals = signals_as_descriptor();
    if (::chdir(directory.c_str()) != 0) throw std::system_error(errno, std::generic_category(), directory);
    const int nothing = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    const pid_t process = spawn(command, {}, {nothing, STDOUT_FILENO, STDERR_FILENO}, Place::own_group);
    const bool in_time = wait_for_end(process, signals, Clock::now() + std::chrono::seconds(std::stoi(seconds)));
    const int status = end(process, signals);
    Json report{{"exit", WEXITSTATUS(status)}};
    if (WIFSIGNALED(status)) report = {{"signal", WTERMSIG(status)}};
    if (!in_time) report["limit"] = "time";
    return report;
  } catch (const std::exception& error) {
    return {{"error", error.what()}};
  }
}

}  // namespace
}  // namespace remote

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  try {
    const std::string report = remote::text(remote::keep(argv[1], argv[2], {argv + 3, argv + argc}));
    return ::send(STDIN_FILENO, report.data(), report.size(), MSG_NOSIGNAL) == -1 ? 1 : 0;
  } catch (const std::exception&) {
    return 1;  // the server sees that there is no report
  }
}
