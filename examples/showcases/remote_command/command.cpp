#include "command.hpp"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <sockserv/await.hpp>
#include <system_error>
#include <utility>
#include <vector>

#include "remote_command/spawn.hpp"

namespace remote {
namespace {

/// Throws a Failure about the system call that has just failed.
[[noreturn]] void fail(const char* call) {
  throw Failure(std::string(call) + ": " + std::generic_category().message(errno));
}

/// The end of a pipe that is read, which never waits, and the one that is written.
std::pair<Descriptor, Descriptor> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) == -1) fail("pipe2");
  ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
  return {Descriptor(ends[0]), Descriptor(ends[1])};
}

std::pair<Descriptor, Descriptor> make_socket_pair() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) == -1) fail("socketpair");
  return {Descriptor(ends[0]), Descriptor(ends[1])};
}

/// What a command finds in its environment: nothing of the server's, in which the key may be.
std::vector<std::string> environment() {
  const char* const home = std::getenv("HOME");
  return {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8",
          std::string("HOME=") + (home ? home : "/")};
}

/// The program that is beside this one.
std::string keeper_path() {
  return std::filesystem::read_symlink("/proc/self/exe").replace_filename("10_command_keeper");
}

}  // namespace

// snippet: start
Command::Command(const Order& order, std::chrono::seconds limit, int client)
    : client_(client), events_(sockserv::this_request::executor()) {
  auto [output, output_of_command] = make_pipe();
  auto [errors, errors_of_command] = make_pipe();
  auto [server_end, keeper_end] = make_socket_pair();

  Descriptor events(::epoll_create1(EPOLL_CLOEXEC));
  if (events.get() == -1) fail("epoll_create1");
  for (const int descriptor : {output.get(), errors.get(), server_end.get(), client}) {
    epoll_event event{};
    event.events = EPOLLIN;
    if (::epoll_ctl(events.get(), EPOLL_CTL_ADD, descriptor, &event) == -1) fail("epoll_ctl");
  }
  events_.assign(events.release());

  std::vector<std::string> arguments{keeper_path(), std::to_string(limit.count()), order.directory};
  arguments.insert(arguments.end(), order.command.begin(), order.command.end());
  try {
    keeper_ = spawn(arguments, environment(), {keeper_end.get(), output_of_command.get(), errors_of_command.get()},
                    Place::own_session);
  } catch (const std::system_error& error) {
    throw Failure(error.what());
  }
  output_ = std::move(output);
  errors_ = std::move(errors);
  keeper_socket_ = std::move(server_end);
}
// snippet end

Command::~Command() {
  end();
  join();
}

// snippet: wait
void Command::wait() {
  using boost::asio::posix::stream_descriptor;
  sockserv::await([&](auto token) { return events_.async_wait(stream_descriptor::wait_read, token); });
}

std::string_view Command::read(Kind stream) {
  buffer_.resize(std::size_t{64} << 10);
  const int descriptor = (stream == Kind::standard_output ? output_ : errors_).get();
  const ssize_t size = ::read(descriptor, buffer_.data(), buffer_.size());
  return {buffer_.data(), size > 0 ? static_cast<std::size_t>(size) : 0};
}

bool Command::is_interrupted() const {
  char ignored = 0;
  return ::recv(client_, &ignored, 1, MSG_PEEK | MSG_DONTWAIT) != -1 || errno != EAGAIN;
}
// snippet end

bool Command::has_ended() {
  if (!result_.is_null()) return true;
  std::array<char, 4096> report{};
  const ssize_t size = ::recv(keeper_socket_.get(), report.data(), report.size(), MSG_DONTWAIT);
  if (size == -1 && errno == EAGAIN) return false;
  if (size > 0) result_ = Json::parse(report.data(), report.data() + size, nullptr, false);
  if (!result_.is_object()) result_ = {{"error", "the command's keeper has ended too soon"}};
  return true;
}

void Command::end() noexcept { ::shutdown(keeper_socket_.get(), SHUT_WR); }

void Command::join() noexcept {
  if (keeper_ == -1) return;
  while (::waitpid(keeper_, nullptr, 0) == -1 && errno == EINTR) continue;
  keeper_ = -1;
}

}  // namespace remote
