#pragma once

/// What the tests share: clients that are plain sockets (so that the library is not tested against itself), places in
/// the file system, and waiting for conditions.

#include <sys/mman.h>
#include <sys/resource.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <mutex>
#include <new>
#include <optional>
#include <sockserv/address.hpp>
#include <sockserv/detail/descriptor.hpp>
#include <sockserv/options.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace support {

using sockserv::Address;
using namespace std::chrono_literals;

/// How long anything may take before a test gives up; far more than it takes, since machines can be busy.
inline constexpr std::chrono::seconds patience{30};

/// Where servers listen, at a port that the system chooses.
inline Address loopback() { return {"127.0.0.1", 0}; }

/// `length` bytes of which no two neighbours are alike.
std::string pattern(std::size_t length);

/// Waits until the condition holds; false if it does not in time.
bool eventually(const std::function<bool()>& condition);

/// A folder for one test's sockets, removed with all that is in it.
class TemporaryFolder {
 public:
  TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder();

  std::string operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

/// A value that child processes share with the test.
template <class Value>
class Shared {
 public:
  Shared()
      : value_(new(::mmap(nullptr, sizeof(Value), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) Value()) {
  }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
  ~Shared() { ::munmap(value_, sizeof(Value)); }

  Value& operator*() const { return *value_; }
  Value* operator->() const { return value_; }

 private:
  Value* value_;
};

/// The client's end of a connection. All operations throw std::system_error, also when they take too long.
class StreamClient {
 public:
  explicit StreamClient(const Address& server);
  StreamClient(StreamClient&&) = default;
  ~StreamClient() { close(); }

  void send(std::string_view bytes);
  /// The next line with its newline, or what comes before the end of the stream.
  std::string read_line();
  /// Everything until the server closes.
  std::string read_all();
  void shutdown_write();
  /// Ends the connection so that a TCP server sees a reset.
  void reset();
  /// Ends the connection, even where a forked child has a copy of the descriptor.
  void close();
  int fileno() const { return socket_.get(); }
  /// This end's address.
  Address address() const;

 private:
  sockserv::detail::Descriptor socket_;
  std::string unread_;
};

/// A datagram client; for a Unix server it binds a path of its own beside the server's, to be replied to.
class DatagramClient {
 public:
  enum class Reply { wanted, impossible };

  explicit DatagramClient(const Address& server, Reply reply = Reply::wanted);
  ~DatagramClient();
  DatagramClient(const DatagramClient&) = delete;
  DatagramClient& operator=(const DatagramClient&) = delete;

  /// Receives from now on only what the server sends from the very address that this client asks, as most clients do.
  void connect();
  void send(std::string_view packet);
  std::string receive();
  /// A reply that comes within a moment, for the tests that expect none.
  std::optional<std::string> receive_soon();
  /// Goes away, even where a forked child has a copy of the descriptor.
  void close();
  int fileno() const { return socket_.get(); }
  Address address() const;

 private:
  sockserv::detail::Descriptor socket_;
  Address server_;
  std::string path_;
};

/// Options whose log goes nowhere, for tests that provoke errors.
sockserv::ServerOptions quiet(sockserv::ServerOptions options = {});

/// Keeps what a server logs. Must outlive the server.
class Lines {
 public:
  sockserv::LogSink sink();
  std::vector<std::string> all() const;
  /// True if some line contains that.
  bool mention(std::string_view text) const;

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
};

/// More descriptors than programs usually have, for as long as this lives.
class ManyDescriptors {
 public:
  ManyDescriptors();
  ManyDescriptors(const ManyDescriptors&) = delete;
  ManyDescriptors& operator=(const ManyDescriptors&) = delete;
  ~ManyDescriptors();

  /// Returns true if there are that many, and some for the test itself.
  bool enough_for(std::size_t count) const { return before_.rlim_max >= count + 100; }

 private:
  rlimit before_{};
};

/// Says why a test cannot run here. CTest then reports the test as skipped.
void skip(std::string_view reason);

/// Runs `body` in a child process, where the deadly signals do what they do by default, and returns its wait status and
/// what it wrote to standard error. Only where there are no other threads.
std::pair<int, std::string> in_child(const std::function<void()>& body);

/// The numbers of this process's open descriptors.
std::vector<int> open_descriptors();
/// How many threads this process has.
std::size_t thread_count();
/// The names of this process's children, whether they still run or not. A sanitizer's own process, which looks up names
/// for its reports, is not among them.
std::vector<std::string> children();
/// True if `children()` has any.
bool has_children();

}  // namespace support
