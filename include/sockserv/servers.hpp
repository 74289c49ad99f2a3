#pragma once

/// The predefined servers: every mixin around every family, under Python's names.

#include <sockserv/mixin/fiber.hpp>
#include <sockserv/mixin/forking.hpp>
#include <sockserv/mixin/preforking.hpp>
#include <sockserv/mixin/thread_pool.hpp>
#include <sockserv/mixin/threading.hpp>
#include <sockserv/server/tcp.hpp>
#include <sockserv/server/udp.hpp>
#include <sockserv/server/unix.hpp>

namespace sockserv::inline abi_0 {

template <class Handler>
using ThreadingTCPServer = ThreadingMixIn<TCPServer<Handler>>;
template <class Handler>
using ThreadingUDPServer = ThreadingMixIn<UDPServer<Handler>>;
template <class Handler>
using ThreadingUnixStreamServer = ThreadingMixIn<UnixStreamServer<Handler>>;
template <class Handler>
using ThreadingUnixDatagramServer = ThreadingMixIn<UnixDatagramServer<Handler>>;

template <class Handler>
using ForkingTCPServer = ForkingMixIn<TCPServer<Handler>>;
template <class Handler>
using ForkingUDPServer = ForkingMixIn<UDPServer<Handler>>;
template <class Handler>
using ForkingUnixStreamServer = ForkingMixIn<UnixStreamServer<Handler>>;
template <class Handler>
using ForkingUnixDatagramServer = ForkingMixIn<UnixDatagramServer<Handler>>;

template <class Handler>
using PreForkingTCPServer = PreForkingMixIn<TCPServer<Handler>>;
template <class Handler>
using PreForkingUDPServer = PreForkingMixIn<UDPServer<Handler>>;
template <class Handler>
using PreForkingUnixStreamServer = PreForkingMixIn<UnixStreamServer<Handler>>;
template <class Handler>
using PreForkingUnixDatagramServer = PreForkingMixIn<UnixDatagramServer<Handler>>;

template <class Handler>
using ThreadPoolTCPServer = ThreadPoolMixIn<TCPServer<Handler>>;
template <class Handler>
using ThreadPoolUDPServer = ThreadPoolMixIn<UDPServer<Handler>>;
template <class Handler>
using ThreadPoolUnixStreamServer = ThreadPoolMixIn<UnixStreamServer<Handler>>;
template <class Handler>
using ThreadPoolUnixDatagramServer = ThreadPoolMixIn<UnixDatagramServer<Handler>>;

template <class Handler>
using FiberTCPServer = FiberMixIn<TCPServer<Handler>>;
template <class Handler>
using FiberUDPServer = FiberMixIn<UDPServer<Handler>>;
template <class Handler>
using FiberUnixStreamServer = FiberMixIn<UnixStreamServer<Handler>>;
template <class Handler>
using FiberUnixDatagramServer = FiberMixIn<UnixDatagramServer<Handler>>;

template <class Handler>
using PreForkingFiberTCPServer = PreForkingMixIn<FiberMixIn<TCPServer<Handler>>>;
template <class Handler>
using PreForkingFiberUDPServer = PreForkingMixIn<FiberMixIn<UDPServer<Handler>>>;
template <class Handler>
using PreForkingFiberUnixStreamServer = PreForkingMixIn<FiberMixIn<UnixStreamServer<Handler>>>;
template <class Handler>
using PreForkingFiberUnixDatagramServer = PreForkingMixIn<FiberMixIn<UnixDatagramServer<Handler>>>;

}  // namespace sockserv::inline abi_0
