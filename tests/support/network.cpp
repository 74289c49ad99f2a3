#include "network.hpp"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <system_error>

#include "support.hpp"

namespace support {
namespace {

using sockserv::detail::Descriptor;

Descriptor current_namespace() {
  Descriptor current(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  if (!current) throw std::system_error(errno, std::system_category(), "/proc/thread-self/ns/net");
  return current;
}

bool succeeds(const std::string& command) {
  return std::system(command.c_str()) == 0;  // NOLINT(bugprone-command-processor): the test's own words
}

}  // namespace

std::string Network::missing() {
  if (!succeeds("ip -Version >/dev/null 2>&1")) return "ip(8), of Debian's package iproute2";
  try {
    const Network network;
    const Visit visit(network);
    return succeeds("ip link add one type veth peer name other 2>/dev/null") ? ""
                                                                             : "interfaces of type veth in this kernel";
  } catch (const std::system_error& error) {
    return std::string("the right to make a network namespace (CAP_SYS_ADMIN): ") + error.what();
  }
}

Network::Network() {
  const Visit visit;
  if (::unshare(CLONE_NEWNET) != 0) throw std::system_error(errno, std::system_category(), "unshare");
  namespace_ = current_namespace();
  ip("link set lo up");
}

void Network::ip(const std::string& arguments) const {
  const Visit visit(*this);
  if (!succeeds("ip " + arguments)) throw std::runtime_error("this failed: ip " + arguments);
}

void Network::add_address(const std::string& address, const std::string& interface) const {
  const bool is_ipv6 = address.find(':') != address.npos;
  ip("addr add " + address + (is_ipv6 ? " nodad" : " brd +") + " dev " + interface);
  const std::string host = address.substr(0, address.find('/'));
  const std::string command = "ip route get " + host + " oif " + interface + " 2>/dev/null | grep -q '^local '";
  const Visit visit(*this);
  if (!eventually([&] { return succeeds(command); })) throw std::runtime_error("an address that stays unused: " + host);
}

std::string Network::name() const {
  return "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(namespace_.get());
}

Network::Visit::Visit() : before_(current_namespace()) {}

Network::Visit::Visit(const Network& network) : Visit() {
  if (::setns(network.namespace_.get(), CLONE_NEWNET) != 0) {
    throw std::system_error(errno, std::system_category(), "setns");
  }
}

Network::Visit::~Visit() {
  if (::setns(before_.get(), CLONE_NEWNET) != 0) std::abort();  // all that follows would be in the wrong network
}

}  // namespace support
