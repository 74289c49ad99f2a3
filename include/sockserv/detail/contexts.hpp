#pragma once

namespace sockserv::detail {

/// Destroys the io_contexts of threads that are gone, which are kept for the next; to be called when no operation that
/// they have awaited can still be running.
void close_idle_contexts() noexcept;

/// In a forked child: leaves all contexts of plain threads to the parent, so that whoever awaits gets a new one. The
/// copies share the parent's epoll sets, eventfds and timerfds, so they are neither used nor destroyed; what has been
/// made with them must not be awaited here. The descriptors stay open.
void abandon_contexts() noexcept;

}  // namespace sockserv::detail
