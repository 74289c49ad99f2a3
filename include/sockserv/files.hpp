#pragma once

/// `rfile` and `wfile`: the files through which handlers read and write.

#include <boost/asio/buffer.hpp>
#include <chrono>
#include <cstddef>
#include <iterator>
#include <optional>
#include <sockserv/detail/idle.hpp>
#include <sockserv/detail/input_buffer.hpp>
#include <sockserv/detail/view_iterator.hpp>
#include <sockserv/error.hpp>
#include <sockserv/export.hpp>
#include <sockserv/fwd.hpp>
#include <span>
#include <string>
#include <string_view>

namespace sockserv::inline abi_0 {

/// What came from the client, read through a buffer: `rfile`.
///
///     for (std::string_view line : rfile) …          // each line with its newline, until the client sends no more
///
/// Reads wait for more bytes as the handler's mixin does, and flush a buffered `wfile` first. A view that a read
/// returns is valid until the next read.
///
/// @par Errors
/// Reads throw what `Connection::recv` throws. No read loses bytes: after an exception (a timeout, a line that
/// is too long, the end of the stream) all that had arrived is still there to be read.
///
/// @par Thread safety
/// Distinct objects: safe. Shared objects: unsafe.
class SOCKSERV_EXPORT InputFile {
 public:
  /// The limit on a line's length unless the caller gives one: 64 KiB, newline included.
  static constexpr std::size_t default_limit = 65536;

  /// Reads from a connection, and flushes `writer` before it waits. Both must outlive this.
  InputFile(Connection& request, OutputFile& writer) noexcept : request_(&request), writer_(&writer) {}
  /// Reads a packet.
  explicit InputFile(std::string_view packet) : buffer_(packet) {}

  /// How much memory to take, in bytes, when the first byte is waited for; within 1 … 1 GiB. More is taken only while
  /// one item needs it.
  void set_buffer_size(std::size_t size);

  /// The next line with its newline, or what is left before the end of the stream, or nothing at its end.
  /// Throws `errc::line_too_long` if there is no newline within `limit` bytes; they can still be read.
  std::optional<std::string_view> readline(std::size_t limit) { return read_until("\n", limit); }
  std::optional<std::string_view> readline() { return readline(default_limit); }

  /// The same up to and including any delimiter, which must not be empty.
  std::optional<std::string_view> read_until(std::string_view delimiter, std::size_t limit = default_limit);

  /// Exactly `count` bytes, fewer only at the end of the stream. Takes memory as bytes arrive, not in advance.
  std::string read(std::size_t count);
  /// Everything until the end of the stream.
  std::string read() { return read(static_cast<std::size_t>(-1)); }

  /// Exactly `count` bytes; throws `errc::end_of_stream` if there are fewer.
  std::string read_exactly(std::size_t count);

  /// The bytes at hand, without reading them; waits until there are at least `least`. There are fewer only at the end
  /// of the stream. For parsers that work in place: `peek()`, `skip()` what made a whole item, and where the rest is a
  /// part of one, `peek(rest + 1)`.
  std::string_view peek(std::size_t least);
  std::string_view peek() { return peek(1); }

  /// Reads over the first `count` of the bytes at hand. What `peek()` has shown stays valid until the next read.
  /// @throws std::invalid_argument if fewer are at hand; none is read then.
  void skip(std::size_t count);

  /// While one exists, all that its file reads is a single item to `ServerOptions::min_receive_rate`: for what a client
  /// sends in pieces, such as a body in chunks. The file must outlive it, and has at most one at a time.
  class OneItem {
   public:
    explicit OneItem(InputFile& file) noexcept;
    OneItem(const OneItem&) = delete;
    OneItem& operator=(const OneItem&) = delete;
    ~OneItem();

    /// Takes bytes that have been read out of the count, such as the lengths between the pieces: they say nothing of
    /// how fast the item itself comes.
    void leave_out(std::size_t count) noexcept;

   private:
    Connection* const request_;
  };

  /// The connection's descriptor; -1 for a packet.
  int fileno() const noexcept;

  /// @name The lines, for range-for
  /// @{
  using iterator = detail::ViewIterator<InputFile, &InputFile::readline>;
  iterator begin() { return iterator(*this); }
  std::default_sentinel_t end() const noexcept { return {}; }
  /// @}

 private:
  friend class MessageStream;
  friend class StreamRequestHandler;

  bool receive_more(std::size_t item, detail::WaitsFor awaited = detail::WaitsFor::more);

  Connection* request_ = nullptr;
  OutputFile* writer_ = nullptr;
  detail::InputBuffer buffer_;
};

/// What goes to the client: `wfile`.
///
/// On a connection, with a buffer size of 0 (the default) each write is sent at once; otherwise writes are collected
/// and sent when the buffer is full, when `rfile` is about to wait for more input, by `flush()`, and when the handler
/// ends. For a datagram, writes are collected and sent as one datagram when the handler ends.
///
/// @par Errors
/// `write` and `flush` throw what `Connection::sendall` throws. After a timeout the bytes not yet sent are
/// kept, and `flush()` goes on; after any other error they are dropped, since the peer has gone.
///
/// @par Thread safety
/// Distinct objects: safe. Shared objects: unsafe.
class SOCKSERV_EXPORT OutputFile {
 public:
  /// Collects everything (a datagram's reply).
  OutputFile() noexcept = default;
  /// Writes to a connection, which must outlive this.
  explicit OutputFile(Connection& request) noexcept : request_(&request) {}
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  /// How many bytes to collect before they are sent; 0: none.
  void set_buffer_size(std::size_t size) noexcept { buffer_size_ = size; }

  /// Writes all the bytes; returns how many that were.
  std::size_t write(std::string_view bytes);
  std::size_t write(boost::asio::const_buffer bytes) {
    return write(std::string_view(static_cast<const char*>(bytes.data()), bytes.size()));
  }
  /// The same for bytes in several places, which leave in one system call for every 16 of them.
  std::size_t write(std::span<const boost::asio::const_buffer> parts);

  /// Sends what has been collected. Nothing for a datagram: it leaves when the handler ends.
  void flush() {
    if (request_ && !pending_.empty()) send_pending({});
  }

  /// The connection's descriptor; -1 for a datagram.
  int fileno() const noexcept;

  /// What has been written and not been sent.
  std::string_view pending() const noexcept { return pending_; }
  /// True once anything has been written, be it an empty string.
  bool written() const noexcept { return written_; }

 private:
  using Parts = std::span<const boost::asio::const_buffer>;

  bool has_room_for(std::size_t count) const noexcept { return !request_ || pending_.size() + count < buffer_size_; }
  void collect(Parts parts);
  void send_pending(Parts more);
  [[noreturn]] void fail(std::size_t sent, Parts more, const error_code& error);

  Connection* request_ = nullptr;
  std::size_t buffer_size_ = 0;
  std::string pending_;
  bool written_ = false;
};

/// How a connection is read and written: what `StreamRequestHandler` and `create_connection` let one choose.
struct SOCKSERV_EXPORT StreamSettings {
  /// The size of `rfile`'s buffer, in bytes. Within 1 … 1 GiB.
  std::size_t rbufsize = detail::InputBuffer::default_capacity;
  /// The size of `wfile`'s buffer, in bytes. 0: every write is sent at once.
  std::size_t wbufsize = 0;
  /// The longest wait of each receive and send, which then throw `timeout_error`; must be positive. No value:
  /// indefinitely.
  std::optional<std::chrono::steady_clock::duration> timeout = {};
  /// Send small writes at once (TCP_NODELAY).
  bool disable_nagle_algorithm = false;
};

namespace detail {
/// @throws std::invalid_argument for a setting that makes no sense.
SOCKSERV_EXPORT void apply(const StreamSettings& settings, Connection& request, InputFile& rfile, OutputFile& wfile);
}  // namespace detail

}  // namespace sockserv::inline abi_0
