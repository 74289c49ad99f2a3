#include <sockserv/detail/task.hpp>

namespace sockserv::inline abi_0::detail {

const Address& Task::client_address() const noexcept {
  static const Address nobody;
  return nobody;
}

}  // namespace sockserv::inline abi_0::detail
