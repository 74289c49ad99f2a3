#pragma once

#include <sys/types.h>

#include <array>
#include <string>
#include <vector>

namespace remote {

/// Where a process is put.
enum class Place {
  own_session,  ///< Away from the terminal, whose Ctrl-C would reach it otherwise.
  own_group     ///< So that it and what it starts can be signalled together.
};

/// Starts a program that inherits nothing but what it is given: the three standard streams; an environment, if there is
/// one, or else this process's; every signal at its default, and none blocked. The program is looked for in this
/// process's PATH.
/// @throws std::system_error if that fails, also because there is no such program.
pid_t spawn(const std::vector<std::string>& command, const std::vector<std::string>& environment,
            const std::array<int, 3>& streams, Place place);

}  // namespace remote
