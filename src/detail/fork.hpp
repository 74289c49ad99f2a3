#pragma once

#include <sys/types.h>

#include <functional>
#include <mutex>

namespace sockserv::detail {

/// fork(), with two locks held across it, so that no thread that the child does not have holds them there, and with
/// signals blocked until the child is one: SIGTERM ends it, blocked or not in the parent, it ignores SIGINT where the
/// parent handles it, what its parent's threads awaited with is forgotten, and it calls `become_child`.
/// @throws boost::system::system_error if there can be no child.
pid_t fork_holding(std::mutex& first, std::mutex& second, const std::function<void()>& become_child);

}  // namespace sockserv::detail
