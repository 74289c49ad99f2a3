#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <sockserv/error.hpp>
#include <sockserv/export.hpp>
#include <sockserv/fwd.hpp>

namespace sockserv::inline abi_0::detail {

/// What a server's options demand of the client of one connection, as deadlines for each wait. It only computes: it
/// reads no clock and waits for nothing.
///
/// @par Thread safety
/// One thread may receive while another sends.
class SOCKSERV_EXPORT ClientLimits {
 public:
  using duration = std::chrono::steady_clock::duration;
  using time_point = std::chrono::steady_clock::time_point;

  /// How long an item may take to arrive before `min_receive_rate` is asked of it.
  static constexpr duration rate_grace = std::chrono::seconds(1);

  /// When a wait ends, and what that means: one of the limits, or `errc::timed_out` for the handler's own.
  struct Deadline {
    time_point at = time_point::max();
    errc meaning = errc::timed_out;
  };

  /// No limits.
  ClientLimits() noexcept = default;
  /// Those of `options`, which must outlive this, for a connection that was accepted at that time. For
  /// `prepare_timeout` see `begin_preparation()`.
  ClientLimits(const ServerOptions& options, time_point accepted) noexcept;

  /// True if there are any.
  explicit operator bool() const noexcept { return options_ != nullptr; }

  /// The deadline of a wait that has begun at `begun`. `timeout` is the handler's own limit. `item` is how much there
  /// is already of what the handler waits for the rest of; no value if it waits to send.
  Deadline deadline(time_point begun, std::optional<duration> timeout, std::optional<std::size_t> item) noexcept;

  /// From here on, until `end_preparation()`, `ServerOptions::prepare_timeout` is one of the limits. It begins with the
  /// first wait. `options` must outlive this. Nothing changes if it has begun.
  void begin_preparation(const ServerOptions& options) noexcept {
    if (is_preparing_) return;
    is_limited_otherwise_ = options_ != nullptr;
    options_ = &options;
    is_preparing_ = true;
  }
  void end_preparation() noexcept {
    if (!is_limited_otherwise_) options_ = nullptr;
    is_preparing_ = false;
    prepared_by_ = time_point::max();
  }

  /// From here on, all that comes is one item, until `end_item()`. `unread` bytes of it have been received already.
  void begin_item(std::size_t unread) noexcept {
    one_item_at_ = received_ - unread;
    not_counted_ = 0;
  }
  /// Excludes this many bytes of the item from its rate.
  void leave_out(std::size_t count) noexcept { not_counted_ += count; }
  void end_item() noexcept { one_item_at_ = no_item; }

  /// The client has sent something at that time, or taken something.
  void has_sent(std::size_t bytes, time_point now) noexcept;
  void has_taken(time_point now) noexcept;

  /// The limit that has been passed: noted, or by now the deadline of the whole request.
  std::optional<errc> passed(time_point now) noexcept;
  /// Notes that a limit has been passed; false if one had been before.
  bool note_passed(errc limit) noexcept;

 private:
  static constexpr std::uint64_t no_item = std::numeric_limits<std::uint64_t>::max();

  time_point rate_deadline(time_point begun, std::uint64_t at, std::uint64_t size) noexcept;

  const ServerOptions* options_ = nullptr;
  time_point end_ = time_point::max();
  time_point prepared_by_ = time_point::max();

  // The receiving thread's. Where in the stream the item begins tells it from the one before, however often the handler
  // begins to wait for it.
  std::uint64_t received_ = 0;
  std::uint64_t item_at_ = no_item;
  time_point item_begun_{};
  std::uint64_t one_item_at_ = no_item;
  std::uint64_t not_counted_ = 0;

  // Of both threads, as atomic_ref.
  time_point::rep last_progress_ = std::numeric_limits<time_point::rep>::min();
  errc passed_{};

  bool is_preparing_ = false;
  bool is_limited_otherwise_ = false;
};

}  // namespace sockserv::inline abi_0::detail
