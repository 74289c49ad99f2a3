#include "secret_key.hpp"

#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>

namespace example {
namespace {

sockserv::SecretKey key_of_environment() {
  const char* const key = std::getenv(key_variable);
  if (!key || *key == '\0') {
    throw std::runtime_error(std::string("there is no key: name a file with --key-file, or set ") + key_variable);
  }
  return key;
}

// snippet: key file
sockserv::SecretKey key_of_file(const std::string& file) {
  struct stat status{};
  if (::stat(file.c_str(), &status) != 0) throw std::system_error(errno, std::generic_category(), file);
  if (S_ISDIR(status.st_mode)) throw std::system_error(EISDIR, std::generic_category(), file);
  if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    throw std::runtime_error(file + ": other users may use this file, so it keeps no secret; chmod 600 is for that");
  }
  std::ifstream stream(file, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(stream), {}};
  if (bytes.empty()) throw std::runtime_error(file + ": there is nothing to be read, and so no key");
  return bytes;
}
// snippet end

}  // namespace

void declare_key_option(CLI::App& app, sockserv::SecretKey& key) {
  const auto file = std::make_shared<std::string>();
  app.add_option(
         "--key-file", *file,
         std::string("The file that holds the secret key; without this\noption the variable ") + key_variable + " does")
      ->type_name("FILE");
  app.callback([file, &key] { key = file->empty() ? key_of_environment() : key_of_file(*file); });
}

}  // namespace example
