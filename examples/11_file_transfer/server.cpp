// Keeps files in one folder, for clients that put and get them.
//
//     11_file_server --mixin threading --directory /tmp/files
//     11_file_client put BIG_FILE       and, from some other folder,       11_file_client get BIG_FILE
//
// End the client (Ctrl-C) or the server in the middle and run the client again: it goes on where it was. Watch the
// folder meanwhile (ls -A): a file has its name only when it is complete and right.
//
// A name from the network is an attack until proven otherwise: see folder.hpp. What goes over the wire is in
// protocol.hpp, and what becomes of half a file in part.hpp. Reading, writing and hashing files does not wait for the
// client, so a fiber would hold up the others meanwhile; that is what this_request::offload is for.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <iostream>
#include <optional>
#include <sockserv.hpp>
#include <string>

#include "11_file_transfer/part.hpp"
#include "11_file_transfer/protocol.hpp"
#include "support/serve.hpp"

using sockserv::this_request::offload;

namespace transfer {
namespace {

/// What the command line says.
struct Settings {
  std::string directory = ".";
  std::uint64_t max_size = std::uint64_t{16} << 30;
  std::optional<Folder> folder;  // the directory, opened
};

struct FileTransfer : sockserv::MessageRequestHandler {
  const Settings& settings;

  explicit FileTransfer(const Settings& given) : settings(given) {
    framing = transfer::framing;
    timeout = time_limit;
    rbufsize = piece_size;
  }

  void handle() override {
    for (auto& message : messages) {
      try {
        const Json order = Json::parse(message, nullptr, false);
        if (!order.is_object()) throw Failure("a request must be a JSON object");
        const std::string operation = text(order, "operation");
        if (operation == "put") {
          put(order);
        } else if (operation == "get") {
          get(order);
        } else {
          throw Failure("there are two operations, put and get");
        }
      } catch (const Failure& failure) {
        send(messages, {{"error", failure.what()}});
      }
    }
  }

  // snippet: put
  void put(const Json& order) {
    const std::string name = text(order, "name");
    const std::string expected = sha256(order);
    const std::uint64_t size = number(order, "size");
    if (size > settings.max_size) {
      throw Failure("the file has " + std::to_string(size) + " bytes; this server takes no more than " +
                    std::to_string(settings.max_size));
    }
    settings.folder->check_room(name);
    auto part = offload([&] { return Part(*settings.folder, "." + name + "." + expected + ".part"); });
    if (part.size() > size) part.go_on_from(0);
    send(messages, {{"have", part.size()}, {"sha256", part.sha256()}});

    const std::uint64_t from = number(receive(messages), "from");
    std::uint64_t left = size - std::min(from, size);
    try {
      part.go_on_from(from);
      while (left > 0) {
        const std::string piece = receive_piece(rfile, left);
        left -= piece.size();
        offload([&] { part.append(piece); });
      }
      offload([&] { part.complete(name, expected); });
    } catch (const Failure& failure) {
      send(messages, {{"error", failure.what()}});
      // If the connection were closed now, with bytes on their way, the client might lose what it was just told.
      while (left > 0) left -= receive_piece(rfile, left).size();
      return;
    }
    send(messages, {{"done", true}});
  }
  // snippet end

  void get(const Json& order) {
    const std::string name = text(order, "name");
    const std::uint64_t have = number(order, "have");
    const std::string have_sha256 = sha256(order);
    const File file = settings.folder->open(name);
    const std::uint64_t size = file.size();
    Sha256 hash;
    std::uint64_t from = 0;
    offload([&] {
      const std::uint64_t common = std::min(have, size);
      file.hash(hash, 0, common);
      if (have <= size && hash.hex() == have_sha256) from = have;
      file.hash(hash, common, size);
    });
    send(messages, {{"size", size}, {"sha256", hash.hex()}, {"from", from}});
    try {
      while (from < size) {
        const std::string piece = offload([&] { return file.read(from, size - from); });
        wfile.write(piece);
        from += piece.size();
      }
    } catch (const Failure& failure) {
      // The client takes whatever comes now for bytes of the file; only the end of the connection can tell it.
      throw std::runtime_error(failure.what());
    }
  }
};

}  // namespace
}  // namespace transfer

int main(int argc, char** argv) {
  ::signal(SIGXFSZ, SIG_IGN);  // a limit on the size of files (ulimit -f) is an error of writing, not the server's end
  transfer::Settings settings;
  const auto declare = [&](CLI::App& app) {
    app.add_option("--directory", settings.directory, "Where the files are")->type_name("DIR")->capture_default_str();
    app.add_option("--max-size", settings.max_size, "The largest file that is taken")
        ->type_name("BYTES")
        ->check(CLI::Range(std::uint64_t{0}, std::uint64_t{1} << 62))
        ->capture_default_str();
    app.parse_complete_callback([&] { settings.folder.emplace(settings.directory); });
  };
  return example::serve_streams<transfer::FileTransfer>(argc, argv,
                                                        {.purpose = "Keeps files for clients that put and get them.",
                                                         .listen = "tcp://127.0.0.1:9000",
                                                         .declare_options = declare},
                                                        settings);
}
