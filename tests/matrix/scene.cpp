#include "scene.hpp"

#include <unistd.h>

#include <array>

namespace matrix {
namespace {

using namespace support;

/// A pipe that hanging handlers read from, in whichever process they are.
struct Gate {
  std::array<int, 2> ends{};
  Gate() { [[maybe_unused]] const int result = ::pipe(ends.data()); }
  ~Gate() {
    ::close(ends[0]);
    ::close(ends[1]);
  }
};

// Before main(), so that all processes share them, whenever they are forked.
const Gate gate;
const Shared<Events> all_events;

class OverStream final : public Client {
 public:
  explicit OverStream(const Address& server) : client_(server) {}

  void say(std::string_view command) override { client_.send(std::string(command) + "\n"); }
  std::string hear() override {
    std::string line = client_.read_line();
    if (line.ends_with('\n')) line.pop_back();
    return line;
  }
  void end_of_commands() override { client_.shutdown_write(); }
  void vanish() override { client_.reset(); }
  void say_half() override { client_.send("echo hal"); }
  void release() override { say("go on"); }
  void expect_end() override { client_.read_all(); }

 private:
  StreamClient client_;
};

class OverDatagrams final : public Client {
 public:
  explicit OverDatagrams(const Address& server) : client_(server) {}

  void say(std::string_view command) override { client_.send(command); }
  std::string hear() override { return client_.receive(); }
  void end_of_commands() override { client_.send(""); }
  void vanish() override { client_.close(); }
  void say_half() override {}
  void release() override { release_hanging_handler(); }
  void expect_end() override {}

 private:
  DatagramClient client_;
};

void throw_on_demand(std::string_view command) {
  if (command == "throw") throw std::runtime_error("on demand");
  if (command == "throw int") throw 42;
}

}  // namespace

const Shared<Events>& events() { return all_events; }

void release_hanging_handler() { [[maybe_unused]] const ssize_t written = ::write(gate.ends[1], "x", 1); }

std::unique_ptr<Client> stream_client(const Address& server) { return std::make_unique<OverStream>(server); }
std::unique_ptr<Client> datagram_client(const Address& server) { return std::make_unique<OverDatagrams>(server); }

void StreamActor::handle() {
  struct Serving {
    Serving() {
      const int now = ++events()->serving;
      for (int most = events()->most_serving; most < now;) events()->most_serving.compare_exchange_weak(most, now);
    }
    ~Serving() { --events()->serving; }
  } const serving;
  for (const std::string_view line : rfile) {
    const std::string command(line.substr(0, line.find('\n')));
    throw_on_demand(command);
    while (command == "flood") wfile.write(std::string(65536, 'x'));
    wfile.write(line);
    if (command == "next" && !wait_for_next_request()) return;
    if (command == "hang") wfile.write(rfile.readline().value_or("aborted"));
  }
}

void DatagramActor::handle() {
  throw_on_demand(packet);
  if (packet == "hang") {
    socket.sendto(packet, client_address);
    char byte = 0;
    sockserv::this_request::offload([&] { return ::read(gate.ends[0], &byte, 1); });
    wfile.write("go on");
  } else {
    wfile.write(packet);
  }
}

void count_error(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const sockserv::peer_gone_error&) {
    ++events()->peers_gone;
  } catch (const sockserv::limit_error& limit) {
    if (limit.code() == sockserv::errc::idle_too_long) ++events()->idle_too_long;
    if (limit.code() == sockserv::errc::request_too_long) ++events()->requests_too_long;
    if (limit.code() == sockserv::errc::too_slow) ++events()->too_slow;
  } catch (const std::exception&) {
    ++events()->standard_errors;
  } catch (...) {
    ++events()->other_errors;
  }
}

}  // namespace matrix
