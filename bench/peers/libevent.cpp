// libevent's bufferevents: one thread, callbacks; sends back what it receives.

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <csignal>
#include <cstdio>

namespace {

void read(bufferevent* connection, void*) {
  ::bufferevent_write_buffer(connection, ::bufferevent_get_input(connection));
}

void end(bufferevent* connection, short, void*) { ::bufferevent_free(connection); }

void accept(evconnlistener* listener, evutil_socket_t descriptor, sockaddr*, int, void*) {
  const int on = 1;
  ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  bufferevent* const connection =
      ::bufferevent_socket_new(::evconnlistener_get_base(listener), descriptor, BEV_OPT_CLOSE_ON_FREE);
  ::bufferevent_setcb(connection, read, nullptr, end, nullptr);
  ::bufferevent_enable(connection, EV_READ | EV_WRITE);
}

}  // namespace

int main() {
  std::signal(SIGPIPE, SIG_IGN);
  event_base* const base = ::event_base_new();
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  evconnlistener* const listener =
      ::evconnlistener_new_bind(base, accept, nullptr, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 4096,
                                reinterpret_cast<sockaddr*>(&address), sizeof address);
  if (listener == nullptr) {
    std::perror("libevent");
    return 1;
  }
  socklen_t length = sizeof address;
  ::getsockname(::evconnlistener_get_fd(listener), reinterpret_cast<sockaddr*>(&address), &length);
  std::printf("listening on tcp://127.0.0.1:%d\n", ntohs(address.sin_port));
  std::fflush(stdout);
  ::event_base_dispatch(base);
}
