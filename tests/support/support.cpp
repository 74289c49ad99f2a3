#include "support.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <string>
#include <system_error>
#include <thread>

namespace support {
namespace {

using sockserv::detail::Descriptor;

[[noreturn]] void fail(const char* what) { throw std::system_error(errno, std::system_category(), what); }

void check(bool good, const char* what) {
  if (!good) fail(what);
}

/// Calls the system again when the end of some child interrupts it.
template <class Call>
ssize_t retry(Call&& call) {
  for (;;) {
    const ssize_t result = call();
    if (result >= 0 || errno != EINTR) return result;
  }
}

Descriptor open_socket(int family, int type) {
  Descriptor socket(::socket(family, type | SOCK_CLOEXEC, 0));
  check(static_cast<bool>(socket), "client: socket");
  const timeval limit{patience.count(), 0};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  return socket;
}

Address local_address(int descriptor) {
  sockaddr_storage storage;
  socklen_t length = sizeof storage;
  auto* const native = reinterpret_cast<sockaddr*>(&storage);
  check(::getsockname(descriptor, native, &length) == 0, "client: getsockname");
  return Address::from_native(native, length);
}

}  // namespace

std::string pattern(std::size_t length) {
  std::string bytes(length, '\0');
  for (std::size_t i = 0; i < length; ++i) bytes[i] = static_cast<char>('!' + i % 89);
  return bytes;
}

bool eventually(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

TemporaryFolder::TemporaryFolder() {
  const char* const parent = std::getenv("TMPDIR");  // another run's end may have removed it
  if (parent) std::filesystem::create_directories(parent);
  std::string name = std::filesystem::temp_directory_path() / "sockserv-test-XXXXXX";
  check(::mkdtemp(name.data()) != nullptr, "mkdtemp");
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

StreamClient::StreamClient(const Address& server) : socket_(open_socket(server.family(), SOCK_STREAM)) {
  // A Unix socket's full backlog makes a connect with a timeout fail; the server is about to make room.
  int result = -1;
  eventually([&] {
    result = ::connect(fileno(), server.data(), server.size());
    return result == 0 || (errno != EAGAIN && errno != EINTR);
  });
  check(result == 0, "client: connect");
}

void StreamClient::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = retry([&] { return ::send(fileno(), bytes.data(), bytes.size(), MSG_NOSIGNAL); });
    check(count > 0, "client: send");
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
}

std::string StreamClient::read_line() {
  std::size_t end = 0;
  for (std::size_t searched = 0; (end = unread_.find('\n', searched)) == unread_.npos;) {
    searched = unread_.size();
    char buffer[4096];
    const ssize_t count = retry([&] { return ::recv(fileno(), buffer, sizeof buffer, 0); });
    check(count >= 0, "client: recv");
    if (count == 0) return std::exchange(unread_, {});
    unread_.append(buffer, static_cast<std::size_t>(count));
  }
  std::string line = unread_.substr(0, end + 1);
  unread_.erase(0, end + 1);
  return line;
}

std::string StreamClient::read_all() {
  std::string all;
  for (std::string line; !(line = read_line()).empty();) all += line;
  return all;
}

void StreamClient::shutdown_write() { check(::shutdown(fileno(), SHUT_WR) == 0, "client: shutdown"); }

void StreamClient::reset() {
  sockaddr nowhere{};
  nowhere.sa_family = AF_UNSPEC;
  // A Unix socket has no reset, so there this fails, and closing is all there is.
  [[maybe_unused]] const int result = ::connect(fileno(), &nowhere, sizeof nowhere);
  close();
}

void StreamClient::close() {
  ::shutdown(fileno(), SHUT_RDWR);
  socket_.reset();
}

Address StreamClient::address() const { return local_address(fileno()); }

DatagramClient::DatagramClient(const Address& server, Reply reply)
    : socket_(open_socket(server.family(), SOCK_DGRAM)), server_(server) {
  if (server.is_unix() && reply == Reply::wanted) {
    static std::atomic<int> next = 0;
    path_ = server.path() + ".client" + std::to_string(next++);
    const Address own(path_);
    check(::bind(socket_.get(), own.data(), own.size()) == 0, "client: bind");
  }
}

DatagramClient::~DatagramClient() { close(); }

void DatagramClient::close() {
  if (!path_.empty()) ::unlink(path_.c_str());
  socket_.reset();
}

void DatagramClient::connect() {
  check(::connect(socket_.get(), server_.data(), server_.size()) == 0, "client: connect");
}

void DatagramClient::send(std::string_view packet) {
  const ssize_t count =
      retry([&] { return ::sendto(socket_.get(), packet.data(), packet.size(), 0, server_.data(), server_.size()); });
  check(count == static_cast<ssize_t>(packet.size()), "client: sendto");
}

std::string DatagramClient::receive() {
  std::string packet(65536, '\0');
  const ssize_t count = retry([&] { return ::recv(socket_.get(), packet.data(), packet.size(), 0); });
  check(count >= 0, "client: recv");
  packet.resize(static_cast<std::size_t>(count));
  return packet;
}

std::optional<std::string> DatagramClient::receive_soon() {
  pollfd readable{socket_.get(), POLLIN, 0};
  if (::poll(&readable, 1, 50) <= 0) return std::nullopt;
  return receive();
}

Address DatagramClient::address() const { return local_address(socket_.get()); }

sockserv::ServerOptions quiet(sockserv::ServerOptions options) {
  options.log = [](sockserv::LogLevel, std::string_view) {};
  return options;
}

sockserv::LogSink Lines::sink() {
  return [this](sockserv::LogLevel, std::string_view line) {
    const std::scoped_lock lock(mutex_);
    lines_.emplace_back(line);
  };
}

std::vector<std::string> Lines::all() const {
  const std::scoped_lock lock(mutex_);
  return lines_;
}

bool Lines::mention(std::string_view text) const {
  const std::vector<std::string> lines = all();
  return std::any_of(lines.begin(), lines.end(), [&](const std::string& line) { return line.find(text) != line.npos; });
}

ManyDescriptors::ManyDescriptors() {
  check(::getrlimit(RLIMIT_NOFILE, &before_) == 0, "getrlimit");
  const rlimit all{before_.rlim_max, before_.rlim_max};
  check(::setrlimit(RLIMIT_NOFILE, &all) == 0, "setrlimit");
}

ManyDescriptors::~ManyDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }

void skip(std::string_view reason) { std::cout << "skipped: " << reason << "\n"; }

std::pair<int, std::string> in_child(const std::function<void()>& body) {
  std::array<int, 2> pipe{};
  check(::pipe2(pipe.data(), O_CLOEXEC) == 0, "pipe2");
  const pid_t child = ::fork();
  check(child >= 0, "fork");
  if (child == 0) {
    ::dup2(pipe[1], STDERR_FILENO);
    const rlimit no_core{0, 0};
    ::setrlimit(RLIMIT_CORE, &no_core);
    for (const int deadly : {SIGABRT, SIGSEGV, SIGBUS}) ::signal(deadly, SIG_DFL);
    body();
    ::_exit(0);
  }
  ::close(pipe[1]);
  std::string text;
  std::array<char, 4096> space{};
  for (ssize_t count = 0; (count = retry([&] { return ::read(pipe[0], space.data(), space.size()); })) > 0;) {
    text.append(space.data(), static_cast<std::size_t>(count));
  }
  ::close(pipe[0]);
  int status = 0;
  retry([&] { return ::waitpid(child, &status, 0); });
  return {status, text};
}

namespace {

std::vector<int> numbers_in(const char* folder) {
  std::vector<int> numbers;
  DIR* const directory = ::opendir(folder);
  check(directory != nullptr, folder);
  while (const dirent* entry = ::readdir(directory)) {
    if (std::isdigit(static_cast<unsigned char>(entry->d_name[0])) != 0) numbers.push_back(std::stoi(entry->d_name));
  }
  ::closedir(directory);
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

}  // namespace

std::vector<int> open_descriptors() {
  std::vector<int> descriptors = numbers_in("/proc/self/fd");
  std::erase_if(descriptors, [](int descriptor) { return ::fcntl(descriptor, F_GETFD) < 0; });  // that of the folder
  return descriptors;
}

std::size_t thread_count() { return numbers_in("/proc/self/task").size(); }

std::vector<std::string> children() {
  std::vector<std::string> found;
  for (const int process : numbers_in("/proc")) {
    // "123 (a name) S 1 ...": the name may contain any character, and the number of the parent comes after the state.
    std::ifstream file("/proc/" + std::to_string(process) + "/stat");
    std::string line;
    if (!std::getline(file, line)) continue;  // it has ended since
    const std::size_t name = line.find('(') + 1;
    const std::size_t name_end = line.rfind(')');
    if (std::stoi(line.substr(name_end + 4)) != ::getpid()) continue;
    const std::string child = line.substr(name, name_end - name);
    if (!child.starts_with("llvm-symbolizer")) found.push_back(child);
  }
  return found;
}

bool has_children() { return !children().empty(); }

}  // namespace support
