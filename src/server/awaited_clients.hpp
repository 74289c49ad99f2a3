#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <list>
#include <optional>
#include <sockserv/detail/descriptor.hpp>
#include <sockserv/fwd.hpp>

#include "../connection/awaited_client.hpp"

namespace sockserv::inline abi_0::detail {

class ClosedTogether;

/// The accepted connections whose clients have yet to send what their preparation needs. They wait here, and not where
/// their requests will run, so that clients that send nothing take no place from those that do.
///
/// They are bounded all the same: at the limit, a new one ends the time of the one that has waited longest. But each
/// has a moment at the least, and until then nothing more is accepted.
///
/// @par Thread safety
/// For the thread that serves, except `is_open` and `size`.
class AwaitedClients {
 public:
  using time_point = AwaitedClient::time_point;

  /// How long a client has at the least, and how long one has the server for itself: see `open()`.
  static constexpr std::chrono::milliseconds moment{50};

  AwaitedClients() = default;
  AwaitedClients(const AwaitedClients&) = delete;
  AwaitedClients& operator=(const AwaitedClients&) = delete;

  /// From now on connections may be added, up to a limit. `one_at_a_time`: requests run one after the other, so whoever
  /// is accepted while another is awaited may have to wait for that one's handler, which another process could have
  /// spared it. Then a client that is alone has a moment to answer before the next is accepted.
  void open(std::size_t limit, bool one_at_a_time) noexcept;
  bool is_open() const noexcept { return is_open_; }
  /// From now on none may be added; closes those that are here.
  void close() noexcept;

  /// Returns false if nothing is to be accepted before `opens_at()`.
  bool may_accept() const;
  time_point opens_at() const;

  /// Returns false, and leaves the connection to the caller, if there are no means to wait for it.
  bool add(Connection& connection, const Address& client_address) noexcept;
  /// The clients' time is over that long after they were accepted, and nobody hears of it.
  void hurry(std::chrono::steady_clock::duration grace) noexcept;

  /// Finds those that can go on.
  void look();
  struct Done {
    AwaitedClient client;
    bool is_late;  ///< If false, it can go on.
  };
  /// Returns one whose time is over, or if wanted one that can go on.
  std::optional<Done> next(bool want_ready);

  std::size_t size() const noexcept { return size_; }
  /// When to call `look()` and `next()`: once the descriptor is readable (-1: there is none), and at that time.
  struct Watch {
    int descriptor = -1;
    time_point deadline = time_point::max();
  };
  Watch watch() const noexcept;

  /// In a forked child that goes on with the rest of the server: gives away the parent's descriptors.
  void become_child(ClosedTogether& unneeded) noexcept;
  /// In a forked child that does not use this.
  void close_in_child() noexcept { epoll_.reset(); }

 private:
  struct Entry {
    AwaitedClient client;
    std::list<Entry>::iterator place = {};
  };

  Done take(std::list<Entry>& from);
  void stop_watching(const Entry& entry) noexcept;

  std::atomic<bool> is_open_ = false;
  std::atomic<std::size_t> size_ = 0;
  std::size_t limit_ = 0;
  bool one_at_a_time_ = false;
  bool is_hurried_ = false;
  Descriptor epoll_;
  std::list<Entry> waiting_;  // the oldest first; since all have the same time, it is also the first to be late
  std::list<Entry> ready_;
};

}  // namespace sockserv::inline abi_0::detail
