#pragma once

/// sockserv: Python's socketserver in C++20.
///
/// Subclass a request handler, override handle(), pick a server, serve:
///
///     #include <boost/algorithm/string/case_conv.hpp>
///     #include <sockserv.hpp>
///
///     struct Upper : sockserv::StreamRequestHandler {
///       void handle() override {
///         for (std::string_view line : rfile) wfile.write(boost::to_upper_copy(std::string(line)));
///       }
///     };
///
///     int main() {
///       sockserv::ThreadingTCPServer<Upper> server({"127.0.0.1", 9000});
///       return sockserv::run(server);
///     }
///
/// Three choices make a server, and each is independent of the others:
///
///     what a request is               who runs it              what the handler does
///
///     BaseServer                      (nobody: one at a time)  BaseRequestHandler<Request>
///       └ TCPServer                   ThreadingMixIn             ├ StreamRequestHandler
///           ├ UnixStreamServer        ThreadPoolMixIn            │   └ MessageRequestHandler
///           └ UDPServer               ForkingMixIn               └ DatagramRequestHandler
///               └ UnixDatagramServer  PreForkingMixIn
///                                     FiberMixIn
///
/// A mixin goes around a server: ThreadingMixIn<TCPServer<Upper>>, or by its predefined name ThreadingTCPServer<Upper>.
///
/// The headers, of which this one includes all but await.hpp, which brings in much of Asio, and those of components,
/// which take libraries of others:
///
///     sockserv/handler.hpp           what you write: the request handlers        Start here.
///     sockserv/servers.hpp           what you pick: the predefined servers
///     sockserv/run.hpp               serving until a signal; serving in the background of a test
///     sockserv/files.hpp             rfile and wfile
///     sockserv/layer/framing.hpp     messages over a connection, each with its length in front
///     sockserv/connection.hpp        a connection, with Python's socket methods
///     sockserv/datagram.hpp          a datagram, and the socket to answer with
///     sockserv/address.hpp           where servers listen and clients are
///     sockserv/client.hpp            the other side: connections and datagrams to servers
///     sockserv/options.hpp           what a server must know before it binds
///     sockserv/log.hpp               where messages go; writing lines without waiting for their reader
///     sockserv/this_request.hpp      for handlers: sleeping, offloading work, whether to stop
///     sockserv/awaited_input.hpp     for layers: what clients have to send before their requests run
///     sockserv/error.hpp             what can go wrong, as values and exceptions
///     sockserv/await.hpp             for handlers: awaiting Asio's asynchronous operations
///     sockserv/testing.hpp           trying a handler without a socket
///     sockserv/layer/hmac_auth.hpp   clients that must prove that they know a key (component sockserv::auth)
///     sockserv/server/*.hpp          the hierarchy of servers, with the hooks that can be overridden
///     sockserv/mixin/*.hpp           the mixins, with their knobs
///     sockserv/fwd.hpp, version.hpp  forward declarations; the version
///     sockserv/export.hpp            what a shared library exports
///
/// Headers in sockserv/detail are not for use: they may change without notice.

#include <sockserv/address.hpp>
#include <sockserv/awaited_input.hpp>
#include <sockserv/client.hpp>
#include <sockserv/connection.hpp>
#include <sockserv/datagram.hpp>
#include <sockserv/error.hpp>
#include <sockserv/files.hpp>
#include <sockserv/fwd.hpp>
#include <sockserv/handler.hpp>
#include <sockserv/layer/framing.hpp>
#include <sockserv/log.hpp>
#include <sockserv/options.hpp>
#include <sockserv/run.hpp>
#include <sockserv/servers.hpp>
#include <sockserv/testing.hpp>
#include <sockserv/this_request.hpp>
#include <sockserv/version.hpp>
