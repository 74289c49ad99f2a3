#pragma once

/// Which part of a file a request selects, or none: conditions (RFC 9110, 13) and ranges (RFC 9110, 14).

#include <cstdint>
#include <ctime>
#include <string>

#include "head.hpp"

namespace web {

/// What tells one state of a file from another.
struct FileVersion {
  std::uint64_t size = 0;
  std::time_t modified = 0;  ///< Not before 1970.
  std::string etag;          ///< With its quotation marks.
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
