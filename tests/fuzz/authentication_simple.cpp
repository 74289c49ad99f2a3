/// What a peer may send in a handshake of AuthenticationProtocol::simple.

#include "authentication.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return fuzz_handshake(data, size, sockserv::AuthenticationProtocol::simple);
}
