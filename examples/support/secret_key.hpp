#pragma once

/// Where a program has its secret key from: a file or the environment, which only its user can read. Never the command
/// line: all users of the machine see it (`ps`, /proc/PID/cmdline), and shells keep it in their history.

#include <sockserv/layer/hmac_auth.hpp>

namespace CLI {
class App;
}

namespace example {

/// The variable of the environment that has the key if no file is named.
inline constexpr char key_variable[] = "SOCKSERV_KEY";

/// Adds --key-file. Once the command line has been read, `key` is what the file or the variable holds, every byte of
/// it, a newline at the end included. Neither, or a file that other users may read, is an error of the program.
/// `key` must outlive `app`.
void declare_key_option(CLI::App& app, sockserv::SecretKey& key);

}  // namespace example
