#pragma once

#include <cstdint>
#include <sockserv/files.hpp>
#include <string>

#include "head.hpp"

namespace web {

/// Receives the body that follows a head: of the length that the head tells, or in chunks (RFC 9112, 6 and 7).
/// @throws Refusal if it has more than `most` bytes (413), or is not as it should be; what `InputFile` throws.
std::string receive_body(sockserv::InputFile& rfile, const Head& head, std::uint64_t most);

}  // namespace web
