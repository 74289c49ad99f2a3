#include <sockserv/detail/task.hpp>

namespace sockserv::detail {

const Address& Task::client_address() const noexcept {
  static const Address nobody;
  return nobody;
}

}  // namespace sockserv::detail
