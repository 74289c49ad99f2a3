// A mixin and a layer as users write them, from public functions alone, each with the other and with sockserv's own.

#include <atomic>
#include <chrono>
#include <future>
#include <iostream>
#include <mutex>
#include <sockserv.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

namespace {

/// Serves each request in a thread of std::async.
template <class Server>
class AsyncMixIn : public Server {
 public:
  using Server::Server;
  using typename Server::request_type;
  ~AsyncMixIn() override { this->begin_destruction(typeid(AsyncMixIn)); }

  void process_request(request_type& request, const sockserv::Address& client_address) override {
    const std::scoped_lock lock(mutex_);
    running_.push_back(std::async(std::launch::async, [this, own = std::move(request), client_address]() mutable {
      this->serve_request(own, client_address);
    }));
  }

  void server_close() override {
    Server::server_close();
    if (this->called_from_within()) return;
    const std::scoped_lock lock(mutex_);
    running_.clear();  // waits for each
  }

 private:
  std::mutex mutex_;
  std::vector<std::future<void>> running_;
};

/// Has no handler for clients that do not say a word first, and tells the others' handlers who they are.
template <class Server>
class WordMixIn : public Server {
 public:
  using Server::Server;
  using typename Server::request_type;
  ~WordMixIn() override { this->begin_destruction(typeid(WordMixIn)); }

  std::string word;

  void prepare_request(request_type& request, sockserv::Address& client_address) override {
    Server::prepare_request(request, client_address);
    std::string said(word.size(), '\0');
    request.recv_exactly(boost::asio::buffer(said));
    if (said != word) throw std::runtime_error("wrong word");
    client_address = sockserv::Address("192.0.2.1", 1);
  }

 protected:
  void check_settings() const override {
    if (word.empty()) throw std::invalid_argument("WordMixIn::word is empty");
    Server::check_settings();
  }
};

struct Greeter : sockserv::StreamRequestHandler {
  void handle() override {
    for (std::string_view line : rfile) wfile.write(client_address.to_string() + ": hello " + std::string(line));
  }
};

std::string answer(const sockserv::AbstractServer& server, std::string_view question) {
  auto client = sockserv::create_connection({"127.0.0.1", server.server_address().port()}, 10s);
  client.wfile.write(question);
  return std::string(client.rfile.readline().value_or(""));
}

template <class Server>
bool works() {
  WordMixIn<Server> server({"127.0.0.1", 0}, {.log = [](sockserv::LogLevel, std::string_view) {}});
  server.set_concurrency(1);
  server.word = "please ";
  sockserv::ServerThread background(server);
  bool refuses = false;
  try {
    refuses = answer(server, "at once world\n").empty();
  } catch (const sockserv::peer_gone_error&) {
    refuses = true;
  }
  const bool greets = answer(server, "please world\n") == "192.0.2.1:1: hello world\n";
  server.drain(10s);
  const bool counts = server.stats().completed == 2 && server.requests_running() == 0;
  if (!refuses || !greets || !counts) std::cout << typeid(Server).name() << " does not work\n";
  return refuses && greets && counts;
}

bool refuses_to_serve_without_a_word() {
  WordMixIn<AsyncMixIn<sockserv::TCPServer<Greeter>>> server({"127.0.0.1", 0});
  try {
    server.serve_forever();
  } catch (const std::invalid_argument&) {
    return true;
  }
  return false;
}

}  // namespace

int main() {
  const bool all_work = works<sockserv::TCPServer<Greeter>>() && works<AsyncMixIn<sockserv::TCPServer<Greeter>>>() &&
                        works<sockserv::ThreadingTCPServer<Greeter>>() &&
                        works<sockserv::ForkingTCPServer<Greeter>>() &&
                        works<sockserv::ThreadPoolTCPServer<Greeter>>() && works<sockserv::FiberTCPServer<Greeter>>() &&
                        works<sockserv::PreForkingTCPServer<Greeter>>() &&
                        works<sockserv::PreForkingMixIn<AsyncMixIn<sockserv::TCPServer<Greeter>>>>();
  return all_work && refuses_to_serve_without_a_word() ? 0 : 1;
}
