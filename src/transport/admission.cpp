#include <sockserv/detail/admission.hpp>

#include <netinet/in.h>

#include <cstring>
#include <sockserv/address.hpp>

namespace sockserv::inline abi_0::detail {
namespace {

ConnectionsByAddress::Key key_of(const Address& address) noexcept {
  ConnectionsByAddress::Key key{};
  if (address.family() == AF_INET6) {
    sockaddr_in6 native;
    std::memcpy(&native, address.data(), sizeof native);
    std::memcpy(key.data(), &native.sin6_addr, 16);
  } else {
    sockaddr_in native;
    std::memcpy(&native, address.data(), sizeof native);
    key[10] = key[11] = 0xff;  // ::ffff:192.0.2.1
    std::memcpy(key.data() + 12, &native.sin_addr, 4);
  }
  return key;
}

}  // namespace

ConnectionsByAddress::Entry* ConnectionsByAddress::enter(const Address& address, std::size_t limit) {
  const Key key = key_of(address);
  const std::scoped_lock lock(mutex_);
  Entry& entry = *counts_.try_emplace(key, 0).first;
  if (entry.second >= limit) return nullptr;
  ++entry.second;
  return &entry;
}

void ConnectionsByAddress::leave(Entry& entry) noexcept {
  const std::scoped_lock lock(mutex_);
  if (--entry.second == 0) counts_.erase(counts_.find(entry.first));
}

std::size_t ConnectionsByAddress::size() const {
  const std::scoped_lock lock(mutex_);
  return counts_.size();
}

}  // namespace sockserv::inline abi_0::detail
