#include <sockserv/address.hpp>  // first, to test that it is self-contained

#include <doctest/doctest.h>
#include <netdb.h>
#include <netinet/in.h>

#include <boost/system/system_error.hpp>
#include <cstring>
#include <sstream>
#include <stdexcept>
#include <string>

namespace {

using sockserv::Address;

TEST_CASE("an IP address has a host and a port, and prints as both") {
  const Address v4("127.0.0.1", 9000);
  CHECK(v4.family() == AF_INET);
  CHECK(v4.is_ip());
  CHECK(v4.host() == "127.0.0.1");
  CHECK(v4.port() == 9000);
  CHECK(v4.path().empty());
  CHECK(v4.to_string() == "127.0.0.1:9000");

  const Address v6("::1", 65535);
  CHECK(v6.family() == AF_INET6);
  CHECK(v6.host() == "::1");
  CHECK(v6.to_string() == "[::1]:65535");

  std::ostringstream stream;
  stream << v6;
  CHECK(stream.str() == "[::1]:65535");
}

TEST_CASE("an empty host is every IPv4 interface, and a name is looked up") {
  CHECK(Address("", 1).host() == "0.0.0.0");
  addrinfo* found = nullptr;  // a bare machine may know no name at all
  if (::getaddrinfo("localhost", nullptr, nullptr, &found) == 0) {
    CHECK(Address("localhost", 1).is_ip());
    ::freeaddrinfo(found);
  }
  CHECK_THROWS_AS(Address("no.such.host.invalid", 1), boost::system::system_error);
}

TEST_CASE("a port out of range is refused by name") {
  CHECK_THROWS_WITH_AS(Address("127.0.0.1", 65536), "port 65536 is out of range: 0 to 65535", std::invalid_argument);
  CHECK_THROWS_AS(Address("127.0.0.1", -1), std::invalid_argument);
}

TEST_CASE("an IPv4 address mapped into IPv6 prints as IPv4") {
  const Address mapped("::ffff:192.0.2.1", 80);
  CHECK(mapped.family() == AF_INET6);
  CHECK(mapped.host() == "192.0.2.1");
  CHECK(mapped.to_string() == "192.0.2.1:80");
}

TEST_CASE("a Unix address is a path or an abstract name") {
  const Address path("/run/server.sock");
  CHECK(path.is_unix());
  CHECK(path.path() == "/run/server.sock");
  CHECK(path.host().empty());
  CHECK(path.port() == 0);
  CHECK(path.to_string() == "/run/server.sock");

  const std::string name("\0name", 5);
  const Address abstract(name);
  CHECK(abstract.path() == name);
  CHECK(abstract.to_string() == "@name");
}

TEST_CASE("a path that does not fit is refused, never cut") {
  CHECK(Address(std::string(107, 'x')).path().size() == 107);
  CHECK_THROWS_WITH_AS(Address(std::string(108, 'x')), doctest::Contains("108 bytes"), std::invalid_argument);
  CHECK_THROWS_AS(Address(""), std::invalid_argument);
  CHECK_THROWS_AS(Address(std::string("/a\0b", 4)), std::invalid_argument);
}

TEST_CASE("what the system says comes back whole") {
  const Address original("::1", 1234);
  CHECK(Address::from_native(original.data(), original.size()) == original);
  CHECK_FALSE(original == Address("::1", 1235));

  sockaddr unnamed{};
  unnamed.sa_family = AF_UNIX;
  const Address nobody = Address::from_native(&unnamed, sizeof(sa_family_t));
  CHECK(nobody.empty());
  CHECK(nobody == Address());
  CHECK(nobody.family() == AF_UNSPEC);
  CHECK(nobody.to_string() == "(unnamed)");
}

TEST_CASE("a path that fills its field has no room for a final NUL") {
  sockaddr_un full{};
  full.sun_family = AF_UNIX;
  std::memset(full.sun_path, 'x', sizeof full.sun_path);
  const auto* const native = reinterpret_cast<const sockaddr*>(&full);
  CHECK(Address::from_native(native, sizeof full).path() == std::string(108, 'x'));
  CHECK(Address::from_native(native, sizeof full + 1).path() == std::string(108, 'x'));  // as the kernel reports it
  CHECK(Address::from_native(native, sizeof full + 1).size() == sizeof full);            // as it wants it back
}

TEST_CASE("control characters do not reach logs and screens") {
  CHECK(Address("/run/a\nb\x1b[1m").to_string() == "/run/a?b?[1m");
  CHECK(Address("/run/\x9b\u009b2J").to_string() == "/run/??2J");  // C1, as a byte and in UTF-8
  CHECK(Address(std::string_view("\0a\x9b\0b", 5)).to_string() == "@a??b");
  CHECK(Address("/run/w\u00f6rld").to_string() == "/run/w\u00f6rld");
}

}  // namespace
