#pragma once

#include <doctest/doctest.h>
#include <sys/socket.h>

#include <array>
#include <sockserv/connection.hpp>
#include <sockserv/files.hpp>

/// A connection with its files, and the peer.
struct BothEnds {
  /// SOCK_SEQPACKET keeps apart what was sent apart.
  explicit BothEnds(int type = SOCK_STREAM) {
    std::array<int, 2> pair{};
    REQUIRE(::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair.data()) == 0);
    request = sockserv::Connection(sockserv::detail::Descriptor(pair[0]), {});
    peer = sockserv::Connection(sockserv::detail::Descriptor(pair[1]), {});
  }

  sockserv::Connection request{{}, {}};
  sockserv::Connection peer{{}, {}};
  sockserv::OutputFile wfile{request};
  sockserv::InputFile rfile{request, wfile};
};
