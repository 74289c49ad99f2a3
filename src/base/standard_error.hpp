#pragma once

#include <string_view>

namespace sockserv::inline abi_0::detail {

/// Acquires what `log_to_stderr` needs, so that it can count lost lines together with processes that are forked later.
/// @throws boost::system::system_error if there is no memory for that.
void prepare_log();

/// While one exists, `log_to_stderr` waits for a full standard error, for up to 100 ms in all: the program is about to
/// end. To be used by one thread at a time.
class LastLines {
 public:
  LastLines() noexcept;
  LastLines(const LastLines&) = delete;
  LastLines& operator=(const LastLines&) = delete;
  ~LastLines();
};

/// Writes how many lines `log_to_stderr` lost since the last report, if any.
void report_lost_lines() noexcept;

/// Writes a line just before the program ends. Async-signal-safe once `prepare_log()` was called.
void write_last_line(std::string_view line) noexcept;

}  // namespace sockserv::inline abi_0::detail
