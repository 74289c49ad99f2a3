#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <variant>

namespace kv {

/// Bytes that the store and any number of replies share.
using SharedBytes = std::shared_ptr<const std::string>;

/// The bytes that a key has. Few of them are kept in place. Many are shared, so that nobody copies or frees them while
/// the store is locked.
///
/// @par Thread safety
/// Distinct objects: safe. Shared objects: unsafe. `SharedBytes` may be kept and read by any thread.
class Value {
 public:
  /// The most bytes that are kept in place.
  static constexpr std::size_t most_in_place = 4096;

  Value() = default;
  explicit Value(std::string_view bytes) {
    SharedBytes shared = share(bytes);
    set(bytes, shared);
  }

  std::string_view bytes() const noexcept {
    const std::string* const in_place = std::get_if<std::string>(&bytes_);
    return in_place ? *in_place : **std::get_if<SharedBytes>(&bytes_);
  }
  /// The same, to be kept; null if they are in place.
  SharedBytes shared() const noexcept {
    const SharedBytes* const shared = std::get_if<SharedBytes>(&bytes_);
    return shared ? *shared : nullptr;
  }

  /// A copy of many bytes, for `set`; null if they are few.
  static SharedBytes share(std::string_view bytes) {
    return bytes.size() > most_in_place ? std::make_shared<const std::string>(bytes) : nullptr;
  }
  /// Changes the bytes: `shared` is what `share` has made of them. It becomes what to free.
  void set(std::string_view bytes, SharedBytes& shared);

 private:
  std::variant<std::string, SharedBytes> bytes_;
};

}  // namespace kv
