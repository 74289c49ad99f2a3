#pragma once

#include <openssl/evp.h>

#include <array>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

namespace transfer {

/// Looked up once, and in the main thread: OpenSSL would otherwise do it for every hash, and keep memory for each
/// thread that does.
inline const EVP_MD* const sha256_algorithm = ::EVP_MD_fetch(nullptr, "SHA256", nullptr);

/// SHA-256 (FIPS 180-4) of bytes that come in pieces, by OpenSSL's EVP interface, which uses the processor's
/// instructions for it.
class Sha256 {
 public:
  Sha256() {
    if (!sha256_algorithm || !context_ || ::EVP_DigestInit_ex(context_.get(), sha256_algorithm, nullptr) != 1) fail();
  }

  void add(std::string_view bytes) {
    if (::EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) != 1) fail();
  }

  /// Of what has been added so far, as 64 hexadecimal digits in lower case; more can be added after that.
  std::string hex() const {
    const Context copy(::EVP_MD_CTX_new());
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned int size = 0;
    if (!copy || ::EVP_MD_CTX_copy_ex(copy.get(), context_.get()) != 1 ||
        ::EVP_DigestFinal_ex(copy.get(), digest.data(), &size) != 1) {
      fail();
    }
    std::string text;
    for (unsigned int i = 0; i < size; ++i) {
      text += "0123456789abcdef"[digest[i] >> 4];
      text += "0123456789abcdef"[digest[i] & 15];
    }
    return text;
  }

 private:
  struct Free {
    void operator()(EVP_MD_CTX* context) const noexcept { ::EVP_MD_CTX_free(context); }
  };
  using Context = std::unique_ptr<EVP_MD_CTX, Free>;

  [[noreturn]] static void fail() { throw std::runtime_error("OpenSSL cannot compute SHA-256"); }

  Context context_{::EVP_MD_CTX_new()};
};

}  // namespace transfer
