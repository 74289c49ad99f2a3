#pragma once

namespace sockserv::detail {

/// Destroys the io_contexts of threads that are gone, which are kept for the next; to be called when no operation that
/// they have awaited can still be running.
void close_idle_contexts() noexcept;

}  // namespace sockserv::detail
