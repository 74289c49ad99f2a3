#pragma once

#include <sockserv/detail/descriptor.hpp>
#include <string>
#include <string_view>

namespace web {

/// A page of HTML that lists what is in a folder, with links. `path` is the folder's in URLs, decoded.
/// @throws boost::system::system_error if the folder cannot be read.
std::string listing(sockserv::detail::Descriptor folder, std::string_view path);

}  // namespace web
