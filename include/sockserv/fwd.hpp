#pragma once

/// Forward declarations of sockserv's types, for headers that only name them. Programs include this instead of
/// declaring them themselves: the types are in an inline namespace, whose name changes with the ABI.

namespace sockserv::inline abi_0 {

class Address;
class AbstractServer;
class ClientConnection;
class Datagram;
class DatagramRequestHandler;
class InputFile;
class MessageRequestHandler;
class MessageStream;
class OutputFile;
class ServerThread;
class Connection;
class StreamRequestHandler;
struct ServerOptions;
struct RunOptions;

template <class Request>
class BaseRequestHandler;

template <class Handler>
class BaseServer;
template <class Handler>
class TCPServer;
template <class Handler>
class UDPServer;
template <class Handler>
class UnixStreamServer;
template <class Handler>
class UnixDatagramServer;

}  // namespace sockserv::inline abi_0
