#pragma once

#include "run.hpp"

namespace load {

/// Connects all clients and has each line answered, leaves the connections alone for that long or until SIGTERM or
/// SIGINT comes, and has another line answered on each. After both times prints a line of JSON.
/// @returns true if all were answered both times.
bool hold_idle(Run& run, std::size_t clients, std::chrono::duration<double> time);

}  // namespace load
