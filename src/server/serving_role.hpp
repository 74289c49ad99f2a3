#pragma once

#include <sockserv/detail/request_scope.hpp>

#include "core.hpp"
#include "fork.hpp"

namespace sockserv::inline abi_0 {

/// The role of the thread that serves, which one thread has at a time. The end of the scope gives it up.
class AbstractServer::Core::ServingRole {
 public:
  explicit ServingRole(Core& core) : core_(core), scope_(core.server_) { detail::Fork::begin(); }
  ServingRole(const ServingRole&) = delete;
  ServingRole& operator=(const ServingRole&) = delete;
  ~ServingRole() {
    core_.end_awaited_clients();  // there are some if serving failed
    core_.lifecycle_.end_serving();
  }

 private:
  Core& core_;
  detail::RequestScope scope_;
};

}  // namespace sockserv::inline abi_0
