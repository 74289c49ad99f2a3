// A service over UDP: clients ask for the time, in the format that they send.
//
//     13_time_server     and     13_time_client     or     echo -n %H:%M | nc -u -w1 127.0.0.1 9000
//
// The formats are those of date(1) and of Python's time.strftime; an empty packet asks for "%Y-%m-%d %H:%M:%S". UDP
// fits: question and answer are one small packet each, and asking again does no harm. What a packet says of its sender
// may be a lie, and then the answer hits somebody else; so answers are kept short, and nonsense gets none.

#include <array>
#include <ctime>
#include <sockserv.hpp>
#include <string>
#include <string_view>

#include "support/serve.hpp"

// snippet: handler
struct Time : sockserv::DatagramRequestHandler {
  void handle() override {
    const std::string format = packet.empty() ? "%Y-%m-%d %H:%M:%S" : packet;
    const std::time_t now = std::time(nullptr);
    std::tm local{};
    ::localtime_r(&now, &local);
    std::array<char, 65> answer{};  // with its zero at the end
    const std::size_t size = std::strftime(answer.data(), answer.size(), format.c_str(), &local);
    if (size > 0) wfile.write(std::string_view(answer.data(), size));
  }
};
// snippet end

int main(int argc, char** argv) {
  return example::serve<sockserv::UDPServer<Time>>(
      argc, argv, {.purpose = "Answers every packet, a format, with the time.", .listen = "udp://127.0.0.1:9000"});
}
