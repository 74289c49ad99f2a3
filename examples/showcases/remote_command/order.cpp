#include "order.hpp"

#include <algorithm>

#include "remote_command/protocol.hpp"

namespace remote {

// snippet: order
Order order_of(std::string_view message, bool shell_allowed) {
  const Json request = Json::parse(message, nullptr, false);
  if (!request.is_object()) throw Failure("the request is no JSON object");
  const auto command = request.find("command");
  const auto is_string = [](const Json& each) { return each.is_string(); };
  if (command == request.end() || !command->is_array() || command->empty() ||
      !std::all_of(command->begin(), command->end(), is_string)) {
    throw Failure("\"command\" must be a list of strings, the first of them a program");
  }
  const auto shell = request.find("shell");
  if (shell != request.end() && !shell->is_boolean()) throw Failure("\"shell\" must be true or false");
  const auto directory = request.find("directory");
  if (directory != request.end() && !directory->is_string()) throw Failure("\"directory\" must be a string");

  Order order{command->get<std::vector<std::string>>(),
              directory == request.end() ? "." : directory->get<std::string>()};
  for (const std::string& each : order.command) {
    if (each.find('\0') != each.npos) throw Failure("an argument has a NUL in it");
  }
  if (order.directory.find('\0') != order.directory.npos) throw Failure("the directory has a NUL in it");
  if (shell != request.end() && shell->get<bool>()) {
    if (!shell_allowed) throw Failure("this server runs no shell; it would with --shell");
    if (order.command.size() != 1) throw Failure("a shell takes one string, and not a list");
    order.command.insert(order.command.begin(), {"/bin/sh", "-c"});
  }
  return order;
}
// snippet end

}  // namespace remote
