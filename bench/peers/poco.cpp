// POCO's TCPServer: a pool of threads, a connection for each at a time; lines sent back.

#include <Poco/Net/ServerSocket.h>
#include <Poco/Net/SocketAddress.h>
#include <Poco/Net/StreamSocket.h>
#include <Poco/Net/TCPServer.h>
#include <Poco/Net/TCPServerConnection.h>
#include <Poco/Net/TCPServerConnectionFactory.h>
#include <Poco/Net/TCPServerParams.h>
#include <Poco/ThreadPool.h>
#include <unistd.h>

#include <cstdio>
#include <string>

namespace {

/// As POCO's users write it: receiveBytes and sendBytes of the socket, and lines found by hand.
class Echo : public Poco::Net::TCPServerConnection {
 public:
  using TCPServerConnection::TCPServerConnection;

  void run() override {
    socket().setNoDelay(true);
    std::string unread;
    char buffer[16384];
    for (int count = 0; (count = socket().receiveBytes(buffer, sizeof buffer)) > 0;) {
      std::size_t searched = unread.size();
      unread.append(buffer, static_cast<std::size_t>(count));
      std::size_t begin = 0;
      for (std::size_t end = 0; (end = unread.find('\n', searched)) != unread.npos; searched = begin = end + 1) {
        send(unread.data() + begin, end + 1 - begin);
      }
      unread.erase(0, begin);
    }
  }

 private:
  void send(const char* bytes, std::size_t count) {
    while (count > 0) {
      const int sent = socket().sendBytes(bytes, static_cast<int>(count));
      bytes += sent;
      count -= static_cast<std::size_t>(sent);
    }
  }
};

}  // namespace

int main() {
  constexpr int most = 20'000;  // connections; each has a thread
  Poco::ThreadPool threads(2, most);
  Poco::Net::ServerSocket listener(Poco::Net::SocketAddress("127.0.0.1", 0), 4096);
  auto* const parameters = new Poco::Net::TCPServerParams;  // the server owns it, and the factory
  parameters->setMaxThreads(most);
  parameters->setMaxQueued(most);
  Poco::Net::TCPServer server(new Poco::Net::TCPServerConnectionFactoryImpl<Echo>, threads, listener, parameters);
  server.start();
  std::printf("listening on tcp://127.0.0.1:%d\n", static_cast<int>(listener.address().port()));
  std::fflush(stdout);
  ::pause();
}
