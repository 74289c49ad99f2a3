#pragma once

/// Networks that a test makes for itself, so that it can give the machine the interfaces and addresses that it wants.

#include <sockserv/detail/descriptor.hpp>
#include <string>

namespace support {

/// A network namespace (network_namespaces(7)). At first it has a loopback interface and nothing more.
class Network {
 public:
  /// Returns why this process cannot make a network; empty if it can.
  static std::string missing();

  Network();

  /// Runs ip(8) in the network, with these arguments.
  void ip(const std::string& arguments) const;
  /// Gives an interface that is up an address ("10.0.0.1/24"), and waits until it is in use: the kernel takes its time.
  void add_address(const std::string& address, const std::string& interface) const;
  /// Returns the name of the network for ip(8), which takes it after `netns`.
  std::string name() const;

  /// A stay of the calling thread in a network. Threads and processes that it starts are there, too; a socket stays in
  /// the network where it was made.
  class Visit {
   public:
    explicit Visit(const Network& network);
    Visit(const Visit&) = delete;
    Visit& operator=(const Visit&) = delete;
    ~Visit();

   private:
    friend class Network;
    Visit();

    sockserv::detail::Descriptor before_;
  };

 private:
  sockserv::detail::Descriptor namespace_;
};

}  // namespace support

/// Ends a test case where it can have no network, and says why.
#define REQUIRE_NETWORK()                                                            \
  if (const std::string missing = ::support::Network::missing(); !missing.empty()) { \
    MESSAGE("skipped: ", missing);                                                   \
    return;                                                                          \
  }                                                                                  \
  static_assert(true)
