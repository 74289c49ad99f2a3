#include "digest.hpp"

#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <sys/random.h>

#include <cerrno>
#include <sockserv/error.hpp>
#include <sockserv/layer/hmac_auth.hpp>
#include <stdexcept>

namespace sockserv::inline abi_0::layer {

std::string hmac(const Digest& digest, const SecretKey& key, std::string_view message) {
  std::string code(digest.size, '\0');
  const auto* const data = reinterpret_cast<const unsigned char*>(message.data());
  auto* const result = reinterpret_cast<unsigned char*>(code.data());
  const bool succeeded = ::HMAC(digest.function(), key.bytes().data(), static_cast<int>(key.bytes().size()), data,
                                message.size(), result, nullptr);
  // OpenSSL has taken memory for this thread, and would keep it until that ends. It might do so too late: a handler's
  // thread can still be ending when the program does.
  ::OPENSSL_thread_stop();
  if (!succeeded) throw std::runtime_error("OpenSSL cannot compute HMAC with " + std::string(digest.name));
  return code;
}

bool are_equal(std::string_view left, std::string_view right) noexcept {
  return left.size() == right.size() && ::CRYPTO_memcmp(left.data(), right.data(), left.size()) == 0;
}

void fill_randomly(std::span<char> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::getrandom(bytes.data(), bytes.size(), 0);
    if (count >= 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(count));
    } else if (errno != EINTR) {
      detail::throw_error(detail::last_system_error(), "getrandom");
    }
  }
}

}  // namespace sockserv::inline abi_0::layer
