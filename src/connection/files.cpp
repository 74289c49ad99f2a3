#include <sockserv/files.hpp>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/container/small_vector.hpp>
#include <sockserv/connection.hpp>
#include <sockserv/detail/settings.hpp>
#include <sockserv/error.hpp>
#include <stdexcept>

namespace sockserv::inline abi_0 {

namespace {

/// The largest buffer that a connection has from its first byte on.
constexpr std::size_t largest_buffer = std::size_t{1} << 30;

/// How much of `wbufsize` is taken at once. What is collected beyond that takes memory as it comes.
constexpr std::size_t most_reserved = std::size_t{1} << 20;

// A function of its own, so that its strings do not enlarge the frame of every read.
[[noreturn, gnu::noinline]] void throw_line_too_long(std::size_t limit) {
  detail::throw_error(errc::line_too_long, "rfile: " + std::to_string(limit) + " bytes without a delimiter");
}

}  // namespace

void InputFile::set_buffer_size(std::size_t size) {
  // Asks first: each request comes here, and the check makes a string.
  if (size < 1 || size > largest_buffer) detail::require_within("rbufsize", size, 1, largest_buffer);
  buffer_.set_initial_capacity(size);
}

/// Waits for more, of which the reader has `item` bytes already; false at the end of the stream.
bool InputFile::receive_more(std::size_t item, detail::WaitsFor awaited) {
  if (!request_) return false;
  writer_->flush();
  error_code error;
  const std::size_t count = request_->receive_more(buffer_, item, awaited, error);
  detail::check(error, "rfile");
  if (count > 0) return true;
  request_->note_end();
  return false;
}

std::optional<std::string_view> InputFile::read_until(std::string_view delimiter, std::size_t limit) {
  if (delimiter.empty()) throw std::invalid_argument("read_until: the delimiter is empty");
  std::size_t searched = 0;
  for (;;) {
    const std::string_view unread = buffer_.unread();
    const std::string_view within = unread.substr(0, limit);
    const std::size_t found =
        delimiter.size() == 1 ? within.find(delimiter.front(), searched) : within.find(delimiter, searched);
    if (found != unread.npos) {
      const std::size_t length = found + delimiter.size();
      buffer_.consume(length);
      return unread.substr(0, length);
    }
    if (unread.size() >= limit) throw_line_too_long(limit);
    searched = unread.size() - std::min(unread.size(), delimiter.size() - 1);
    if (!receive_more(unread.size())) {
      const std::string_view rest = buffer_.unread();
      buffer_.consume(rest.size());
      return rest.empty() ? std::nullopt : std::optional(rest);
    }
  }
}

std::string InputFile::read(std::size_t count) {
  std::string bytes;
  try {
    for (;;) {
      const std::string_view part = buffer_.unread().substr(0, count - bytes.size());
      bytes += part;
      buffer_.consume(part.size());
      if (bytes.size() == count || !receive_more(bytes.size())) return bytes;
    }
  } catch (...) {
    buffer_.put_back(bytes);
    throw;
  }
}

std::string InputFile::read_exactly(std::size_t count) {
  std::string bytes = read(count);
  if (bytes.size() < count) {
    buffer_.put_back(bytes);
    detail::throw_request_error(errc::end_of_stream,
                                "rfile: " + std::to_string(bytes.size()) + " bytes of " + std::to_string(count));
  }
  return bytes;
}

std::string_view InputFile::peek(std::size_t least) {
  while (buffer_.unread().size() < least && receive_more(buffer_.unread().size())) continue;
  return buffer_.unread();
}

void InputFile::skip(std::size_t count) {
  const std::size_t at_hand = buffer_.unread().size();
  if (count > at_hand) {
    throw std::invalid_argument("skip: " + std::to_string(count) + " bytes, of which " + std::to_string(at_hand) +
                                " are at hand; peek(" + std::to_string(count) + ") waits for them");
  }
  buffer_.consume(count);
}

InputFile::OneItem::OneItem(InputFile& file) noexcept : request_(file.request_) {
  if (request_) request_->limits_.begin_item(file.buffer_.unread().size());
}

InputFile::OneItem::~OneItem() {
  if (request_) request_->limits_.end_item();
}

void InputFile::OneItem::leave_out(std::size_t count) noexcept {
  if (request_) request_->limits_.leave_out(count);
}

int InputFile::fileno() const noexcept { return request_ ? request_->fileno() : -1; }

int OutputFile::fileno() const noexcept { return request_ ? request_->fileno() : -1; }

std::size_t OutputFile::write(std::string_view bytes) {
  written_ = true;
  const boost::asio::const_buffer part = boost::asio::buffer(bytes);
  if (has_room_for(bytes.size())) {
    collect({&part, 1});
  } else if (pending_.empty()) {
    error_code error;
    const std::size_t sent = request_->sendall(bytes, error);
    if (error) [[unlikely]]
      fail(sent, {&part, 1}, error);
  } else {
    send_pending({&part, 1});
  }
  return bytes.size();
}

std::size_t OutputFile::write(Parts parts) {
  written_ = true;
  const std::size_t size = boost::asio::buffer_size(parts);
  has_room_for(size) ? collect(parts) : send_pending(parts);
  return size;
}

void OutputFile::collect(Parts parts) {
  if (pending_.empty()) pending_.reserve(std::min(buffer_size_, most_reserved));
  for (const auto& part : parts) pending_.append(static_cast<const char*>(part.data()), part.size());
}

void OutputFile::send_pending(Parts more) {
  boost::container::small_vector<boost::asio::const_buffer, 8> all{boost::asio::buffer(pending_)};
  all.insert(all.end(), more.begin(), more.end());
  error_code error;
  const std::size_t sent = request_->sendall(all, error);
  if (error) [[unlikely]]
    fail(sent, more, error);
  pending_.clear();
}

/// Keeps what was not sent, or drops it, as the error demands, and throws.
void OutputFile::fail(std::size_t sent, Parts more, const error_code& error) {
  if (error == errc::timed_out) {
    collect(more);
    pending_.erase(0, sent);
  } else {
    pending_.clear();
  }
  detail::throw_request_error(error, "wfile");
}

void detail::apply(const StreamSettings& settings, Connection& request, InputFile& rfile, OutputFile& wfile) {
  rfile.set_buffer_size(settings.rbufsize);
  wfile.set_buffer_size(settings.wbufsize);
  if (settings.timeout) request.settimeout(settings.timeout);
  if (settings.disable_nagle_algorithm) request.set_no_delay(true);
}

}  // namespace sockserv::inline abi_0
