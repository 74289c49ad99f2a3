#include <sockserv/detail/processors.hpp>

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <sockserv/detail/settings.hpp>
#include <sockserv/error.hpp>
#include <thread>

#include "cpu_quota.hpp"

namespace sockserv::inline abi_0::detail {
namespace {

std::size_t allowed_by_affinity() noexcept {
  cpu_set_t allowed;
  if (::sched_getaffinity(0, sizeof allowed, &allowed) == 0) return static_cast<std::size_t>(CPU_COUNT(&allowed));
  return std::max(1U, std::thread::hardware_concurrency());  // a machine with more than such a set can hold
}

std::size_t allowed_by_quota() noexcept {
  std::size_t count = most_processors;
  error_of([&] {
    if (const auto quota = cpu_quota(content_of("/proc/self/cgroup"), "/sys/fs/cgroup")) {
      count = static_cast<std::size_t>(std::clamp(std::ceil(*quota), 1.0, static_cast<double>(count)));
    }
  });  // without memory it is as if there were no quota
  return count;
}

}  // namespace

std::size_t processors() noexcept {
  static const std::size_t by_quota = allowed_by_quota();
  return std::min(allowed_by_affinity(), by_quota);
}

}  // namespace sockserv::inline abi_0::detail
