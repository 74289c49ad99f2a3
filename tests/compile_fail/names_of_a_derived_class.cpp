// A class that derives from one of sockserv's uses names of its program. Compiles, since the names of sockserv's own
// that are private do not hide them.

#include <sockserv.hpp>
#include <sockserv/layer/hmac_auth.hpp>
#include <type_traits>

struct Children;
struct Defaults;
struct HandlerBase;
struct Parent;
struct Ready;
struct RequestTask;
struct Shared;
struct State;
struct Task;
struct Worker;

template <class... Names>
inline constexpr bool are_the_programs =
    std::is_same_v<void(Names...), void(::Children, ::Defaults, ::HandlerBase, ::Parent, ::Ready, ::RequestTask,
                                        ::Shared, ::State, ::Task, ::Worker)>;
#define ARE_THE_PROGRAMS \
  are_the_programs<Children, Defaults, HandlerBase, Parent, Ready, RequestTask, Shared, State, Task, Worker>

#define DERIVE_SERVER(name, ...)                                                              \
  namespace name {                                                                            \
  using Base = __VA_ARGS__;                                                                   \
  struct Derived : Base {                                                                     \
    using Base::Base;                                                                         \
    static_assert(ARE_THE_PROGRAMS);                                                          \
  };                                                                                          \
  inline Derived* make(const sockserv::Address& address) { return new Derived(address, {}); } \
  }

#define DERIVE_HANDLER(name, ...)    \
  namespace name {                   \
  using Base = __VA_ARGS__;          \
  struct Derived : Base {            \
    void handle() override {}        \
    static_assert(ARE_THE_PROGRAMS); \
  };                                 \
  }

DERIVE_HANDLER(stream, sockserv::StreamRequestHandler)
DERIVE_HANDLER(datagram, sockserv::DatagramRequestHandler)
DERIVE_HANDLER(message, sockserv::MessageRequestHandler)
DERIVE_HANDLER(plain_stream, sockserv::BaseRequestHandler<sockserv::Connection>)
DERIVE_HANDLER(plain_datagram, sockserv::BaseRequestHandler<sockserv::Datagram>)

using Stream = stream::Derived;
using Datagram = datagram::Derived;

DERIVE_SERVER(tcp, sockserv::TCPServer<Stream>)
DERIVE_SERVER(udp, sockserv::UDPServer<Datagram>)
DERIVE_SERVER(unix_stream, sockserv::UnixStreamServer<Stream>)
DERIVE_SERVER(unix_datagram, sockserv::UnixDatagramServer<Datagram>)
DERIVE_SERVER(threading, sockserv::ThreadingTCPServer<Stream>)
DERIVE_SERVER(threading_datagrams, sockserv::ThreadingUnixDatagramServer<Datagram>)
DERIVE_SERVER(forking, sockserv::ForkingTCPServer<Stream>)
DERIVE_SERVER(forking_datagrams, sockserv::ForkingUDPServer<Datagram>)
DERIVE_SERVER(thread_pool, sockserv::ThreadPoolTCPServer<Stream>)
DERIVE_SERVER(fiber, sockserv::FiberTCPServer<Stream>)
DERIVE_SERVER(fiber_datagrams, sockserv::FiberUDPServer<Datagram>)
DERIVE_SERVER(preforking, sockserv::PreForkingTCPServer<Stream>)
DERIVE_SERVER(preforking_threading, sockserv::PreForkingMixIn<sockserv::ThreadingTCPServer<Stream>>)
DERIVE_SERVER(preforking_fiber, sockserv::PreForkingFiberTCPServer<Stream>)
DERIVE_SERVER(authenticating, sockserv::HmacAuthMixIn<sockserv::ForkingTCPServer<Stream>>)
DERIVE_SERVER(authenticating_inside, sockserv::ThreadingMixIn<sockserv::HmacAuthMixIn<sockserv::TCPServer<Stream>>>)
DERIVE_SERVER(derived_again, threading::Derived)
DERIVE_SERVER(around_derived, sockserv::ThreadingMixIn<tcp::Derived>)
