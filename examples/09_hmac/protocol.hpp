#pragma once

/// What server and client must agree on, besides the key.

#include <CLI/CLI.hpp>
#include <map>
#include <sockserv.hpp>
#include <sockserv/layer/hmac_auth.hpp>
#include <string>

#include "support/secret_key.hpp"

namespace example {

/// Messages as Python's multiprocessing sends them, so that Python can be the other end.
inline constexpr sockserv::FramingOptions framing{.prefix = sockserv::LengthPrefix::multiprocessing,
                                                  .max_message = 4096};

/// Adds the options for the key and for how it is proved.
inline void declare_authentication(CLI::App& app, sockserv::Authentication& authentication) {
  using Protocol = sockserv::AuthenticationProtocol;
  static const std::map<std::string, Protocol> protocols{
      {"mutual", Protocol::mutual}, {"simple", Protocol::simple}, {"multiprocessing", Protocol::multiprocessing}};
  declare_key_option(app, authentication.key);
  app.add_option("--protocol", authentication.protocol,
                 "How the key is proved: mutual (if not said otherwise),\nsimple or multiprocessing")
      ->type_name("NAME")
      ->transform(CLI::CheckedTransformer(protocols).description(""));
  app.add_flag("--allow-md5", authentication.allow_md5, "Of multiprocessing, also what Python up to 3.11 does");
}

}  // namespace example
