#pragma once

namespace sockserv::inline abi_0::detail {

/// Writes out what standard output and standard error hold in their buffers.
void flush_standard_streams() noexcept;

/// Ends a child process: flushes the standard streams, and leaves without unwinding or exit handlers, which belong to
/// the parent.
[[noreturn]] void exit_child(int status) noexcept;

}  // namespace sockserv::inline abi_0::detail
