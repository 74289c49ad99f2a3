#pragma once

/// The access log, in Apache's Combined format:
///
///     127.0.0.1 - - [22/Nov/2026:06:00:00 +0000] "GET /a HTTP/1.1" 200 13 "REFERER" "USER AGENT"

#include <cstdint>
#include <optional>
#include <sockserv/address.hpp>
#include <sockserv/detail/descriptor.hpp>
#include <sockserv/log.hpp>
#include <string>
#include <string_view>

namespace web {

/// One request and its answer.
struct LogEntry {
  std::string_view first_line;  ///< Empty: the client has sent none.
  unsigned status = 0;
  std::uint64_t size = 0;  ///< Of the body that was sent.
  std::string_view referer;
  std::string_view user_agent;
};

/// The line of an entry, with its newline. What clients have chosen is escaped as Apache does, so that it can neither
/// end the line nor a part of it, nor control a terminal. `time` is in brackets.
std::string line_of(const LogEntry& entry, const sockserv::Address& client, std::string_view time);

/// May be used by any number of threads and processes: each line is one write to the end of the file.
class AccessLog {
 public:
  /// No log.
  AccessLog() = default;
  /// `path` is a file's, or "-" for standard error.
  /// @throws boost::system::system_error if it cannot be opened.
  explicit AccessLog(const std::string& path);

  bool is_on() const noexcept { return writer_.has_value(); }
  /// A line that cannot be written at once is lost, so that neither a full disk nor a pipe that nobody reads stops the
  /// service. The next line that can be written reports to standard error how many were lost.
  void write(const LogEntry& entry, const sockserv::Address& client) const noexcept;

 private:
  sockserv::detail::Descriptor file_;
  std::optional<sockserv::LineWriter> writer_;
};

}  // namespace web
