// error: HmacAuthMixIn is for servers of streams
// note: a datagram has no connection to authenticate

#include <sockserv.hpp>
#include <sockserv/layer/hmac_auth.hpp>

struct Packets : sockserv::DatagramRequestHandler {
  void handle() override {}
};

sockserv::HmacAuthMixIn<sockserv::UDPServer<Packets>> server({"127.0.0.1", 0});
