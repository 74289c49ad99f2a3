#include "access_log.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <ctime>
#include <sockserv/error.hpp>

#include "date.hpp"

namespace web {
namespace {

/// In quotation marks; "-" where there is nothing.
void append_quoted(std::string_view text, std::string& line) {
  constexpr std::string_view digits = "0123456789abcdef";
  line += '"';
  if (text.empty()) line += '-';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      line += '\\';
      line += c;
    } else if (byte < ' ' || byte >= 0x7f) {
      line += {'\\', 'x', digits[byte / 16], digits[byte % 16]};
    } else {
      line += c;
    }
  }
  line += '"';
}

std::string local_time(std::time_t time) {
  std::tm fields{};
  ::localtime_r(&time, &fields);
  std::array<char, 40> text{};
  return {text.data(), std::strftime(text.data(), text.size(), "[%d/%b/%Y:%H:%M:%S %z]", &fields)};
}

}  // namespace

std::string line_of(const LogEntry& entry, const sockserv::Address& client, std::string_view time) {
  std::string line = client.is_ip() ? client.host() : "-";
  line += " - - ";
  line += time;
  line += ' ';
  append_quoted(entry.first_line, line);
  line += ' ' + std::to_string(entry.status) + ' ' + (entry.size > 0 ? std::to_string(entry.size) : "-") + ' ';
  append_quoted(entry.referer, line);
  line += ' ';
  append_quoted(entry.user_agent, line);
  return line += '\n';
}

AccessLog::AccessLog(const std::string& path) {
  if (path == "-") {
    writer_.emplace(STDERR_FILENO);
    return;
  }
  file_ = sockserv::detail::Descriptor(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640));
  if (!file_) {
    throw boost::system::system_error(errno, boost::system::system_category(), "cannot open the access log " + path);
  }
  writer_.emplace(file_.get());
}

void AccessLog::write(const LogEntry& entry, const sockserv::Address& client) const noexcept try {
  const std::string line = line_of(entry, client, of_this_second<local_time>());
  if (!writer_->write({line})) return;
  if (const std::uint64_t lost = writer_->take_lost()) {
    sockserv::log_to_stderr(sockserv::LogLevel::warning,
                            std::to_string(lost) + " line(s) of the access log could not be written and were lost");
  }
} catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): as any line that cannot be written
}

}  // namespace web
