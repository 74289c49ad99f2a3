#include <sockserv/detail/processors.hpp>

#include <sched.h>

#include <algorithm>
#include <thread>

namespace sockserv::inline abi_0::detail {

std::size_t processors() noexcept {
  cpu_set_t allowed;
  if (::sched_getaffinity(0, sizeof allowed, &allowed) == 0) return static_cast<std::size_t>(CPU_COUNT(&allowed));
  return std::max(1U, std::thread::hardware_concurrency());  // a machine with more than such a set can hold
}

}  // namespace sockserv::inline abi_0::detail
