// Puts a file on a server, or gets one from there; what a transfer that broke off has left is not sent again.
//
//     11_file_client put FILE     11_file_client get NAME     with     11_file_server
//
// Watch the bar: run again after Ctrl-C, it starts where it was. The part that is there counts only if its SHA-256 is
// that of the same part at the other end; otherwise everything is sent.

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <iostream>
#include <sockserv.hpp>
#include <string>

#include "11_file_transfer/part.hpp"
#include "11_file_transfer/protocol.hpp"
#include "support/command_line.hpp"

namespace transfer {
namespace {

/// A bar that grows on standard error, if that is a terminal.
class Progress {
 public:
  explicit Progress(std::uint64_t size) : size_(size) {}
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress() {
    if (shown_ >= 0) std::cerr << '\n';
  }

  void show(std::uint64_t done) {
    const int percent =
        size_ == 0 ? 100 : static_cast<int>(static_cast<double>(done) / static_cast<double>(size_) * 100);
    if (!terminal_ || percent == shown_) return;
    shown_ = percent;
    const auto filled = static_cast<std::size_t>(percent / 2);
    std::cerr << "\r[" << std::string(filled, '#') << std::string(50 - filled, ' ') << "] " << percent << " %"
              << std::flush;
  }

 private:
  const std::uint64_t size_;
  const bool terminal_ = ::isatty(STDERR_FILENO) == 1;
  int shown_ = -1;
};

/// Returns true if the server sent something, which may be in `rfile` already, or closed the connection.
bool has_spoken(sockserv::ClientConnection& client) {
  if (!client.rfile.peek(0).empty()) return true;
  pollfd server{client.connection.fileno(), POLLIN, 0};
  return ::poll(&server, 1, 0) == 1;
}

void report(const std::string& what, std::uint64_t size, std::uint64_t from) {
  std::cout << what << ": " << size << " bytes, " << from << " of them were there already\n";
}

// snippet: put
void put(sockserv::ClientConnection& client, sockserv::MessageStream& messages, const std::string& path) {
  const std::string name = std::filesystem::path(path).filename();
  check_name(name);
  const File file(open_plain(AT_FDCWD, path, O_RDONLY | O_NOCTTY), path);
  const std::uint64_t size = file.size();
  Sha256 whole;
  file.hash(whole, 0, size);
  send(messages, {{"operation", "put"}, {"name", name}, {"size", size}, {"sha256", whole.hex()}});

  const Json answer = receive(messages);
  const std::uint64_t have = number(answer, "have");
  std::uint64_t from = 0;
  if (have <= size) {
    Sha256 part;
    file.hash(part, 0, have);
    if (part.hex() == sha256(answer)) from = have;
  }
  send(messages, {{"from", from}});

  {
    Progress progress(size);
    for (std::uint64_t sent = from; sent < size && !has_spoken(client);) {  // it speaks early only of an error
      const std::string piece = file.read(sent, size - sent);
      client.wfile.write(piece);
      sent += piece.size();
      progress.show(sent);
    }
  }
  receive(messages);
  report("put " + printable(name), size, from);
}
// snippet end

void get(sockserv::ClientConnection& client, sockserv::MessageStream& messages, const std::string& name,
         const std::string& directory) {
  const Folder folder(directory);
  folder.check_room(name);
  Part part(folder, "." + name + ".part");
  send(messages, {{"operation", "get"}, {"name", name}, {"have", part.size()}, {"sha256", part.sha256()}});

  const Json answer = receive(messages);
  const std::uint64_t size = number(answer, "size");
  const std::uint64_t from = number(answer, "from");
  part.go_on_from(from);
  {
    Progress progress(size);
    while (part.size() < size) {
      part.append(receive_piece(client.rfile, size - part.size()));
      progress.show(part.size());
    }
  }
  part.complete(name, sha256(answer));
  report("got " + printable(name), size, from);
}

/// What the command line says.
struct Arguments {
  std::string url = "tcp://127.0.0.1:9000";
  std::string path;
  std::string name;
  std::string directory = ".";
  CLI::App* putting = nullptr;
};

void declare_options(CLI::App& app, Arguments& arguments) {
  app.add_option("--server", arguments.url, "The server, as it says where it listens")
      ->type_name("URL")
      ->capture_default_str();
  arguments.putting = app.add_subcommand("put", "Put a file on the server, under its name without the path");
  arguments.putting->add_option("FILE", arguments.path)->required();
  CLI::App* const getting = app.add_subcommand("get", "Get a file from the server");
  getting->add_option("NAME", arguments.name)->required();
  getting->add_option("--directory", arguments.directory, "Where to put it")->type_name("DIR")->capture_default_str();
  app.require_subcommand(1);
}

void run(const Arguments& arguments) {
  auto client = sockserv::create_connection(example::server_address(arguments.url), std::chrono::seconds(10),
                                            {.rbufsize = piece_size, .timeout = time_limit});
  sockserv::MessageStream messages(client.rfile, client.wfile, framing);
  if (*arguments.putting) {
    put(client, messages, arguments.path);
  } else {
    get(client, messages, arguments.name, arguments.directory);
  }
}

}  // namespace
}  // namespace transfer

int main(int argc, char** argv) {
  transfer::Arguments arguments;
  return example::run_program(
      argc, argv, "Puts a file on a server, or gets one from there.",
      [&](CLI::App& app) { transfer::declare_options(app, arguments); },
      [&] {
        transfer::run(arguments);
        return 0;
      });
}
