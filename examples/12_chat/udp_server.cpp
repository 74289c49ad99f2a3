// A chat without connections: a packet goes to everybody else who has spoken lately.
//
//     12_udp_chat_server     and, several times,     12_chat_client --server udp://127.0.0.1:9000
//
// Nobody joins and nobody leaves: who is there is who has sent a packet within the last minute (--lately SECONDS).
// Watch nc -u 127.0.0.1 9000: it hears nothing until it has said something. An empty packet says nothing, and counts.
//
// There is no queue, and none is needed: a packet for which a client's socket has no room is lost. The sender of a
// packet can be forged, and then a stranger gets what others say; a server for the open network would have a new sender
// answer a question first. Here there are few clients, so one packet causes only a few others. What such a server sends
// is not relayed; otherwise two of them could keep each other busy indefinitely.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <chrono>
#include <sockserv.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "support/printable.hpp"
#include "support/serve.hpp"

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t most_speakers = 100;

struct Speaker {
  sockserv::Address address;
  sockserv::Address asked_at;  // which of our addresses it speaks to; it hears no other
  Clock::time_point last;
};

/// What the handlers share: without a lock, since without a mixin packets are handled one after the other.
struct Room {
  int lately = 60;  // seconds
  std::vector<Speaker> speakers;
};

// snippet: no speech
constexpr std::string_view refusal = "* too many are speaking; try again later";

/// Returns true if a packet is what such a server sends: a line that is relayed already ("ADDRESS: …", as
/// `Address::to_string` has it), or the refusal, also where others quote that.
bool is_from_relay(std::string_view packet) {
  if (packet.starts_with("* ") || packet.find(refusal) != packet.npos) return true;
  std::string_view host = packet.substr(0, packet.find(": "));
  const std::size_t colon = host.rfind(':');
  if (colon == host.npos) return false;
  host = host.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  sockserv::error_code error;
  boost::asio::ip::make_address(host, error);
  return !error;
}
// snippet end

// snippet: relay
struct Relay : sockserv::DatagramRequestHandler {
  Room& room;

  explicit Relay(Room& given) : room(given) {}

  void handle() override {
    if (is_from_relay(packet)) return;
    const Clock::time_point now = Clock::now();
    std::vector<Speaker>& speakers = room.speakers;
    std::erase_if(speakers, [&](const Speaker& each) { return now - each.last > std::chrono::seconds(room.lately); });
    auto sender = std::find_if(speakers.begin(), speakers.end(),
                               [&](const Speaker& each) { return each.address == client_address; });
    if (sender == speakers.end()) {
      if (speakers.size() == most_speakers) {
        wfile.write(refusal);
        return;
      }
      sender = speakers.insert(speakers.end(), {client_address, {}, now});
    }
    sender->asked_at = request.local_address();
    sender->last = now;
    if (packet.empty()) return;

    const std::string line = client_address.to_string() + ": " + example::printable(packet);
    for (const Speaker& each : speakers) {
      sockserv::error_code ignored;  // of one who has gone; after a while he is forgotten
      if (each.address != client_address) socket.sendto(line, each.address, each.asked_at, ignored);
    }
  }
};
// snippet end

}  // namespace

int main(int argc, char** argv) {
  Room room;
  const auto declare = [&](CLI::App& app) {
    app.add_option("--lately", room.lately, "For how long one who says nothing still hears the others")
        ->type_name("SECONDS")
        ->check(CLI::Range(1, 86'400))
        ->capture_default_str();
  };
  return example::serve<sockserv::UDPServer<Relay>>(argc, argv,
                                                    {.purpose = "Relays packets between all who have spoken lately.",
                                                     .listen = "udp://127.0.0.1:9000",
                                                     .declare_options = declare},
                                                    room);
}
