#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace remote {

/// What a client wants to have run.
struct Order {
  std::vector<std::string> command;  ///< The program and its arguments.
  std::string directory;             ///< Where it runs.
};

/// What the client's first message asks for.
/// @throws Failure if that makes no sense, or is not allowed.
Order order_of(std::string_view message, bool shell_allowed);

}  // namespace remote
