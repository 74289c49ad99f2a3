#pragma once

/// Which part of a file a request selects, or none: conditions (RFC 9110, 13) and ranges (RFC 9110, 14).

#include <algorithm>
#include <cstdint>
#include <ctime>
#include <string>

#include "head.hpp"

namespace web {

/// What tells one state of a file from another.
struct FileVersion {
  std::uint64_t size = 0;
  std::time_t modified = 0;  ///< Not before 1970, but perhaps in the future.
  std::string etag;          ///< With its quotation marks; weak if another state may have the same.
  std::time_t seen = 0;      ///< When this was the file's state.

  /// Returns the value of Last-Modified: never later than the response's Date (RFC 9110, 8.8.2.1).
  std::time_t last_modified() const noexcept { return std::min(modified, seen); }
};

struct Selection {
  /// `ok`: all of it. `partial_content`: what follows. `not_modified`, `precondition_failed`, `range_not_satisfiable`:
  /// nothing.
  http::status status = http::status::ok;
  std::uint64_t offset = 0;
  std::uint64_t count = 0;
};

/// What a GET or HEAD request selects. Ranges count for GET only. More than one range is answered by all of the file,
/// as the standard allows: it spares everyone the multipart format and the requests that ask for a thousand ranges.
Selection select(const Head& head, const FileVersion& file);

}  // namespace web
