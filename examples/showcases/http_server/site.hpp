#pragma once

/// What is served, and within which limits: filled by main(), and not changed any more once the server runs.

#include <chrono>
#include <cstdint>
#include <optional>

#include "access_log.hpp"
#include "head.hpp"
#include "router.hpp"
#include "support/folder.hpp"

namespace web {

struct Site {
  Router router;
  std::optional<example::Folder> folder;
  bool reopens_folder = false;  ///< For each request, so that a folder in its place is noticed.
  AccessLog log;

  HeadLimits head_limits;
  std::uint64_t largest_body = std::uint64_t{1} << 20;  ///< Of a request, in bytes.

  /// How long a connection may wait for its next request. 0: it is closed after each.
  std::chrono::seconds keep_alive{5};
  /// How long the head of a request may take to arrive, from its first byte on: 408.
  std::chrono::seconds head_time{10};
  /// How long a body that is received, or any answer that is sent, may stand still.
  std::chrono::seconds transfer_time{30};
};

}  // namespace web
