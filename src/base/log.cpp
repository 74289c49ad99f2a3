#include <sockserv/log.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <climits>
#include <limits>
#include <optional>
#include <sockserv/detail/deadline.hpp>
#include <sockserv/error.hpp>
#include <span>

#include "standard_error.hpp"
#include "without_sigpipe.hpp"

namespace sockserv::inline abi_0 {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

/// What is to be written, and has not been yet.
class Rest {
 public:
  Rest(bool after_torn_line, const LineWriter::Parts& parts) noexcept {
    if (after_torn_line) add("\n");
    for (const std::string_view part : parts) add(part);
  }

  std::span<iovec> parts() noexcept { return std::span(parts_).subspan(first_, count_ - first_); }
  bool empty() const noexcept { return first_ == count_; }

  void remove(std::size_t bytes) noexcept {
    for (; first_ < count_ && bytes >= parts_[first_].iov_len; ++first_) bytes -= parts_[first_].iov_len;
    if (bytes == 0) return;
    parts_[first_].iov_base = static_cast<char*>(parts_[first_].iov_base) + bytes;
    parts_[first_].iov_len -= bytes;
  }

 private:
  void add(std::string_view part) noexcept {
    if (!part.empty()) parts_[count_++] = {const_cast<char*>(part.data()), part.size()};
  }

  std::array<iovec, 1 + std::tuple_size_v<LineWriter::Parts>> parts_{};
  std::size_t first_ = 0;
  std::size_t count_ = 0;
};

ssize_t write_to_file(int descriptor, std::span<iovec> parts) noexcept {
  return ::writev(descriptor, parts.data(), static_cast<int>(parts.size()));
}

ssize_t write_to_socket(int descriptor, std::span<iovec> parts) noexcept {
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  return ::sendmsg(descriptor, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/// Opens what the descriptor refers to a second time, so that O_NONBLOCK concerns nobody else.
int reopen(int descriptor) noexcept {
  constexpr std::string_view folder = "/proc/self/fd/";
  std::array<char, 32> path{};
  std::copy(folder.begin(), folder.end(), path.begin());
  std::to_chars(path.data() + folder.size(), path.data() + path.size() - 1, descriptor);
  return ::open(path.data(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

/// Writes no more than what has room, as far as poll(2) tells: a page of a pipe, or 256 bytes of a terminal.
ssize_t write_a_little(int descriptor, bool is_pipe, const iovec& part) noexcept {
  pollfd room{descriptor, POLLOUT, 0};
  if (::poll(&room, 1, 0) > 0) {
    return ::write(descriptor, part.iov_base, std::min<std::size_t>(part.iov_len, is_pipe ? PIPE_BUF : 256));
  }
  errno = EAGAIN;
  return -1;
}

/// For a pipe, or a device such as a terminal.
ssize_t write_to_stream(int descriptor, bool is_pipe, std::span<iovec> parts) noexcept {
  const detail::WithoutSigpipe without_sigpipe;
  const int count = static_cast<int>(parts.size());
  ssize_t written = ::pwritev2(descriptor, parts.data(), count, -1, RWF_NOWAIT);
  if (written < 0 && (errno == EOPNOTSUPP || errno == ENOSYS || errno == EPERM)) {  // EPERM: a filter of system calls
    const int own = reopen(descriptor);
    if (own >= 0 || errno == ENXIO) {  // ENXIO: a FIFO that nobody reads
      written = own >= 0 ? ::writev(own, parts.data(), count) : -1;
      const int error = errno;
      if (own >= 0) ::close(own);
      errno = error;
    } else {
      written = write_a_little(descriptor, is_pipe, parts.front());
    }
  }
  if (written < 0 && errno == EPIPE) without_sigpipe.drop();
  return written;
}

ssize_t write_once(int descriptor, std::span<iovec> parts) noexcept {
  struct stat file{};
  if (::fstat(descriptor, &file) != 0) return -1;  // asked each time: a program may redirect its standard error
  if (S_ISREG(file.st_mode)) return write_to_file(descriptor, parts);
  if (S_ISSOCK(file.st_mode)) return write_to_socket(descriptor, parts);
  return write_to_stream(descriptor, S_ISFIFO(file.st_mode), parts);
}

bool wait_for_room(int descriptor, steady_clock::time_point deadline) noexcept {
  const auto left = std::chrono::ceil<milliseconds>(deadline - detail::now()).count();
  if (left <= 0) return false;
  pollfd room{descriptor, POLLOUT, 0};
  const int found = ::poll(&room, 1, static_cast<int>(std::min<std::int64_t>(left, std::numeric_limits<int>::max())));
  return found > 0 || (found < 0 && errno == EINTR);
}

/// How long the last lines of a program may wait for room, all together.
constexpr steady_clock::duration last_line_patience = milliseconds(100);

/// How much of that is left. Zero while there is no `LastLines`.
std::atomic<steady_clock::rep> patience_left{0};

LineWriter& standard_error() {
  static LineWriter& writer = *new LineWriter(STDERR_FILENO);  // never destroyed: the last lines come late
  return writer;
}

bool write_to_stderr(const LineWriter::Parts& parts) {
  const steady_clock::duration patience(patience_left.load());
  if (patience <= steady_clock::duration::zero()) return standard_error().write(parts);
  const auto began = detail::now();
  const bool written = standard_error().write(parts, patience);
  patience_left = std::max(patience - (detail::now() - began), steady_clock::duration::zero()).count();
  return written;
}

}  // namespace

LineWriter::LineWriter(int descriptor) : descriptor_(descriptor) {}

bool LineWriter::write(const Parts& parts, duration patience) const noexcept {
  const int saved = errno;
  Losses& losses = losses_.values().front();
  const bool after_torn_line = losses.torn.load() && losses.torn.exchange(false);
  Rest rest(after_torn_line, parts);
  bool begun = false;
  std::optional<steady_clock::time_point> deadline;
  while (!rest.empty()) {
    const ssize_t written = write_once(descriptor_, rest.parts());
    if (written >= 0) {
      begun = true;
      rest.remove(static_cast<std::size_t>(written));
    } else if (errno == EAGAIN && patience > duration::zero()) {
      if (!deadline) deadline = detail::deadline_after(patience);
      if (!wait_for_room(descriptor_, *deadline)) break;
    } else if (errno != EINTR) {
      break;
    }
  }
  errno = saved;
  if (rest.empty()) return true;
  if (begun || after_torn_line) losses.torn = true;
  ++losses.lines;
  return false;
}

std::uint64_t LineWriter::take_lost() const noexcept {
  std::atomic<std::uint64_t>& lines = losses_.values().front().lines;
  return lines.load() == 0 ? 0 : lines.exchange(0);
}

void LineWriter::count_lost(std::uint64_t lines) const noexcept { losses_.values().front().lines += lines; }

void log_to_stderr(LogLevel, std::string_view message) noexcept {
  // No memory for the writer is the one error; there is nowhere to report it.
  detail::error_of([&] {
    if (write_to_stderr({"sockserv: ", message, "\n"})) detail::report_lost_lines();
  });
}

void detail::prepare_log() { standard_error(); }

detail::LastLines::LastLines() noexcept { patience_left = last_line_patience.count(); }
detail::LastLines::~LastLines() { patience_left = 0; }

void detail::report_lost_lines() noexcept {
  const std::uint64_t lost = standard_error().take_lost();
  if (lost == 0) return;
  std::array<char, 24> number{};
  char* const end = std::to_chars(number.data(), number.data() + number.size(), lost).ptr;
  if (!write_to_stderr({"sockserv: ", std::string_view(number.data(), end),
                        " line(s) of this log were lost, because standard error could not take them in time\n"})) {
    standard_error().count_lost(lost - 1);  // besides the line that has just been lost
  }
}

void detail::write_last_line(std::string_view line) noexcept { standard_error().write({line}, last_line_patience); }

}  // namespace sockserv::inline abi_0
