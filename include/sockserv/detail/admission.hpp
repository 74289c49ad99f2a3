#pragma once

#include <array>
#include <cstddef>
#include <map>
#include <mutex>
#include <sockserv/detail/counters.hpp>
#include <sockserv/export.hpp>
#include <sockserv/fwd.hpp>
#include <utility>

namespace sockserv::inline abi_0::detail {

/// How many connections there are from each IP address. It has an entry for each address that has any, in a tree, so
/// that looking one up takes no long time whatever addresses clients choose.
///
/// @par Thread safety
/// Safe.
class SOCKSERV_EXPORT ConnectionsByAddress {
 public:
  /// An IPv6 address; IPv4 addresses as those that they are mapped to.
  using Key = std::array<unsigned char, 16>;
  using Entry = std::pair<const Key, std::size_t>;

  /// Counts one more connection from an address, and returns what to `leave()` by; null: there are `limit` already.
  Entry* enter(const Address& address, std::size_t limit);
  void leave(Entry& entry) noexcept;

  /// How many addresses have connections.
  std::size_t size() const;

  /// Held across fork(), so that the child's copy is whole and free.
  std::mutex& mutex() noexcept { return mutex_; }

 private:
  mutable std::mutex mutex_;
  std::map<Key, std::size_t> counts_;
};

/// An `Admission` is the proof that a server has admitted a request. When it ends, in this process or in the parent of
/// the child that serves the request, the request counts as completed, and no longer for its address.
class Admission {
 public:
  /// Of no request.
  Admission() noexcept = default;
  explicit Admission(Counters& counters) noexcept : counters_(&counters) {}
  Admission(Counters& counters, ConnectionsByAddress& by_address, ConnectionsByAddress::Entry& entry) noexcept
      : counters_(&counters), by_address_(&by_address), entry_(&entry) {}
  Admission(Admission&& other) noexcept
      : counters_(std::exchange(other.counters_, nullptr)),
        by_address_(std::exchange(other.by_address_, nullptr)),
        entry_(other.entry_) {}
  Admission& operator=(Admission&& other) noexcept {
    if (this != &other) {
      end();
      counters_ = std::exchange(other.counters_, nullptr);
      by_address_ = std::exchange(other.by_address_, nullptr);
      entry_ = other.entry_;
    }
    return *this;
  }
  ~Admission() { end(); }

  /// The request has ended.
  void end() noexcept {
    if (counters_) count(counters_->completed);
    withdraw();
  }

  /// The request was rejected after all, or another process accounts for it: it does not count as completed.
  void withdraw() noexcept {
    counters_ = nullptr;
    if (by_address_) std::exchange(by_address_, nullptr)->leave(*entry_);
  }

 private:
  Counters* counters_ = nullptr;
  ConnectionsByAddress* by_address_ = nullptr;
  ConnectionsByAddress::Entry* entry_ = nullptr;
};

}  // namespace sockserv::inline abi_0::detail
