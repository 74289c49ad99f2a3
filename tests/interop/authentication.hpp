#pragma once

/// What the two programs have in common that authenticate themselves to Python, or have Python do so.

#include <iostream>
#include <map>
#include <sockserv.hpp>
#include <sockserv/layer/hmac_auth.hpp>
#include <string_view>

namespace interop {

inline constexpr sockserv::FramingOptions framing{.prefix = sockserv::LengthPrefix::multiprocessing,
                                                  .max_message = 1'000'000};

/// What the first two arguments, PROTOCOL and KEY, mean; without a key if they mean nothing, which is said.
inline sockserv::Authentication authentication_of(int argc, char** argv, std::string_view usage) {
  using Protocol = sockserv::AuthenticationProtocol;
  const std::map<std::string_view, Protocol> protocols{{"mutual", Protocol::mutual},
                                                       {"multiprocessing", Protocol::multiprocessing},
                                                       {"multiprocessing_md5", Protocol::multiprocessing},
                                                       {"simple", Protocol::simple}};
  const auto protocol = protocols.find(argc > 1 ? argv[1] : "");
  if (protocol == protocols.end() || argc < 3) {
    std::cerr << "usage: " << usage << ", where PROTOCOL is one of";
    for (const auto& [name, value] : protocols) std::cerr << ' ' << name;
    std::cerr << '\n';
    return {};
  }
  return {.key = argv[2], .protocol = protocol->second, .allow_md5 = protocol->first == "multiprocessing_md5"};
}

}  // namespace interop
