#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace sockserv::inline abi_0::detail {

/// Returns how many processors' time the control groups of a process may use (cgroups(7)): the smallest quota of its
/// group and of those around it, in version 1 or 2. No value: they have none.
///
/// `groups` is what /proc/self/cgroup says, and `root` the folder where the groups are mounted.
std::optional<double> cpu_quota(std::string_view groups, const std::string& root);

/// Returns the beginning of a small file, in which all of it is. Empty if it cannot be read.
std::string content_of(const std::string& path);

}  // namespace sockserv::inline abi_0::detail
