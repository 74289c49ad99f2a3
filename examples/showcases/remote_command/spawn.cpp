#include "spawn.hpp"

#include <signal.h>
#include <spawn.h>
#include <unistd.h>

#include <cerrno>
#include <new>
#include <system_error>

namespace remote {
namespace {

/// posix_spawn's lists of what it should do; they own memory.
struct Actions {
  Actions() {
    if (::posix_spawn_file_actions_init(&files) != 0) throw std::bad_alloc();
    if (::posix_spawnattr_init(&attributes) != 0) {
      ::posix_spawn_file_actions_destroy(&files);
      throw std::bad_alloc();
    }
  }
  Actions(const Actions&) = delete;
  Actions& operator=(const Actions&) = delete;
  ~Actions() {
    ::posix_spawnattr_destroy(&attributes);
    ::posix_spawn_file_actions_destroy(&files);
  }

  posix_spawn_file_actions_t files{};
  posix_spawnattr_t attributes{};
};

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> array;
  for (const std::string& each : strings) array.push_back(const_cast<char*>(each.c_str()));
  array.push_back(nullptr);
  return array;
}

void check(int error, const char* what) {
  if (error != 0) throw std::system_error(error, std::generic_category(), what);
}

}  // namespace

// snippet: spawn
pid_t spawn(const std::vector<std::string>& command, const std::vector<std::string>& environment,
            const std::array<int, 3>& streams, Place place) {
  Actions actions;
  for (int number = 0; number < 3; ++number) {
    check(::posix_spawn_file_actions_adddup2(&actions.files, streams[static_cast<std::size_t>(number)], number),
          "posix_spawn_file_actions_adddup2");
  }
  check(::posix_spawn_file_actions_addclosefrom_np(&actions.files, 3), "posix_spawn_file_actions_addclosefrom_np");

  sigset_t all;
  sigset_t none;
  ::sigfillset(&all);
  ::sigemptyset(&none);
  ::posix_spawnattr_setsigdefault(&actions.attributes, &all);
  ::posix_spawnattr_setsigmask(&actions.attributes, &none);
  const int where = place == Place::own_session ? POSIX_SPAWN_SETSID : POSIX_SPAWN_SETPGROUP;
  const int flags = where | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK;
  check(::posix_spawnattr_setflags(&actions.attributes, static_cast<short>(flags)), "posix_spawnattr_setflags");

  pid_t process = -1;
  const std::vector<char*> arguments = pointers(command);
  const std::vector<char*> variables = pointers(environment);
  char* const* const inherited = environment.empty() ? environ : variables.data();
  check(::posix_spawnp(&process, command.front().c_str(), &actions.files, &actions.attributes, arguments.data(),
                       inherited),
        command.front().c_str());
  return process;
}
// snippet end

}  // namespace remote
