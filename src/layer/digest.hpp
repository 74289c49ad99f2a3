#pragma once

#include <openssl/evp.h>

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace sockserv::inline abi_0 {
class SecretKey;
}

namespace sockserv::inline abi_0::layer {

/// A hash function with which HMAC (RFC 2104) is computed.
struct Digest {
  std::string_view name;  ///< As Python's multiprocessing writes it.
  std::size_t size;       ///< Of the HMAC, in bytes.
  const EVP_MD* (*function)();
};

inline constexpr Digest md5{"md5", 16, ::EVP_md5};
inline constexpr Digest sha256{"sha256", 32, ::EVP_sha256};
inline constexpr Digest sha384{"sha384", 48, ::EVP_sha384};
inline constexpr Digest sha3_256{"sha3_256", 32, ::EVP_sha3_256};
inline constexpr Digest sha3_384{"sha3_384", 48, ::EVP_sha3_384};

/// @throws std::runtime_error if OpenSSL will not compute it (MD5, where the system forbids that).
std::string hmac(const Digest& digest, const SecretKey& key, std::string_view message);

/// Compares in a time that tells nothing of where they differ.
bool are_equal(std::string_view left, std::string_view right) noexcept;

/// Fills the bytes with random ones of the system's.
/// @throws boost::system::system_error if it has none.
void fill_randomly(std::span<char> bytes);

}  // namespace sockserv::inline abi_0::layer
