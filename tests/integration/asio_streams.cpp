/// Asio's and Boost.Beast's own algorithms on a Connection, as they are.

#include <doctest/doctest.h>

#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <sockserv.hpp>

#include "support/support.hpp"

namespace {

using namespace sockserv;
using namespace support;
namespace asio = boost::asio;
namespace http = boost::beast::http;

struct ReadUntil : BaseRequestHandler<Connection> {
  void handle() override {
    std::string buffer;
    for (error_code error; !error;) {
      const std::size_t length = asio::read_until(request, asio::dynamic_buffer(buffer), '\n', error);
      if (error) break;
      asio::write(request, asio::buffer(buffer.data(), length));
      buffer.erase(0, length);
    }
  }
};

struct Http : BaseRequestHandler<Connection> {
  void handle() override {
    boost::beast::flat_buffer buffer;
    for (;;) {
      http::request<http::string_body> message;
      error_code error;
      http::read(request, buffer, message, error);
      if (error == http::error::end_of_stream) return;
      detail::check(error, "http::read");
      http::response<http::string_body> response{http::status::ok, message.version()};
      response.body() =
          std::string(message.method_string()) + " " + std::string(message.target()) + " " + message.body();
      response.keep_alive(message.keep_alive());
      response.prepare_payload();
      http::write(request, response);
    }
  }
};

template <class Server>
std::string exchange(std::string_view input) {
  Server server({"127.0.0.1", 0});
  ServerThread background(server);
  StreamClient client(server.server_address());
  client.send(input);
  client.shutdown_write();
  return client.read_all();
}

TEST_CASE("asio::read_until and asio::write") {
  CHECK(exchange<TCPServer<ReadUntil>>("one\ntwo\nrest") == "one\ntwo\n");
  CHECK(exchange<ThreadingTCPServer<ReadUntil>>("one\ntwo\n") == "one\ntwo\n");
  CHECK(exchange<ForkingTCPServer<ReadUntil>>("one\ntwo\n") == "one\ntwo\n");
  CHECK(testing::converse<ReadUntil>("one\ntwo\n", {.piece_size = 1}) == "one\ntwo\n");
}

TEST_CASE("Boost.Beast reads and writes HTTP messages, pipelined") {
  const std::string input =
      "GET /first HTTP/1.1\r\nHost: x\r\n\r\n"
      "POST /second HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody";
  for (const std::string& output :
       {exchange<TCPServer<Http>>(input), testing::converse<Http>(input, {.piece_size = 1})}) {
    CHECK(output.find("GET /first ") != std::string::npos);
    CHECK(output.find("POST /second body") != std::string::npos);
  }
}

}  // namespace
