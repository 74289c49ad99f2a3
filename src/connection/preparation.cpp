#include <sockserv/preparation.hpp>

#include <sockserv/error.hpp>

namespace sockserv::inline abi_0 {

std::exception_ptr Preparation::error() const { return std::make_exception_ptr(timeout_error("prepare_request")); }

}  // namespace sockserv::inline abi_0
