// A service over UDP: clients ask for the time, in the format that they send.
//
//     13_time_server     and     13_time_client     or     echo -n %H:%M | nc -u -w1 127.0.0.1 9000
//
// The formats are those of date(1) and of Python's time.strftime; an empty packet asks for "%Y-%m-%d %H:%M:%S". UDP
// fits: question and answer are one small packet each, and asking again does no harm. What a packet says of its sender
// may be a lie, and then the answer hits somebody else; so answers are kept short, and nonsense gets none. And no
// answer may be a question, or else two such servers could answer each other indefinitely: a question is empty or has a
// "%", and an answer is neither.

#include <array>
#include <ctime>
#include <sockserv.hpp>
#include <string>
#include <string_view>

#include "support/serve.hpp"

// snippet: handler
struct Time : sockserv::DatagramRequestHandler {
  void handle() override {
    if (!is_question(packet)) return;
    const std::string format = packet.empty() ? "%Y-%m-%d %H:%M:%S" : packet;
    const std::time_t now = std::time(nullptr);
    std::tm local{};
    ::localtime_r(&now, &local);
    std::array<char, 65> answer{};  // with its zero at the end
    const std::size_t size = std::strftime(answer.data(), answer.size(), format.c_str(), &local);
    const std::string_view text(answer.data(), size);
    if (!is_question(text)) wfile.write(text);
  }

  static bool is_question(std::string_view text) { return text.empty() || text.find('%') != text.npos; }
};
// snippet end

int main(int argc, char** argv) {
  return example::serve<sockserv::UDPServer<Time>>(
      argc, argv, {.purpose = "Answers packets, which are formats, with the time.", .listen = "udp://127.0.0.1:9000"});
}
