#include "handshake.hpp"

#include <cassert>
#include <utility>

namespace sockserv::inline abi_0::layer {

std::string Handshake::take_output() { return std::exchange(output_, {}); }

void Handshake::take(std::string_view bytes) {
  assert(bytes.size() <= wanted());
  item_ += bytes;
  if (item_.size() < expected_) return;
  const std::string item = std::exchange(item_, {});
  expected_ = 0;
  received(item);
}

std::unique_ptr<Handshake> make_handshake(const Authentication& authentication, AuthenticationRole role,
                                          const RandomSource& random) {
  detail::check_authentication(authentication);
  switch (authentication.protocol) {
    case AuthenticationProtocol::multiprocessing:
      return make_multiprocessing(authentication, role, random);
    case AuthenticationProtocol::simple:
      return make_simple(authentication, role, random);
    case AuthenticationProtocol::mutual:
      break;
  }
  return make_mutual(authentication, role, random);
}

}  // namespace sockserv::inline abi_0::layer
