#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "run.hpp"
#include "target.hpp"

namespace load {

/// What the clients do.
struct Mode {
  std::unique_ptr<Client> (*make_client)(Target&, std::size_t size);
  bool with_datagrams;  ///< Can do it with them
  bool with_rate;       ///< Can be an open load
};

/// What the command line asks for.
struct Options {
  std::string mode;
  std::string url;
  unsigned clients = 64;
  std::size_t size = 64;
  double seconds = 2;
  double warmup = 0.2;
  std::optional<double> rate;
  unsigned depth = 16;
  unsigned source_offset = 0;

  const Mode& chosen_mode() const;
  bool is_idle() const { return mode == "idle"; }
  bool is_pipeline() const { return mode == "pipeline"; }
};

/// Reads the command line.
/// @returns nothing if it only asked for help, which has been printed.
/// @throws std::invalid_argument if it makes no sense.
std::optional<Options> read_options(int argc, char** argv);

}  // namespace load
