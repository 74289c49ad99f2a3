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

/// The accepted connections whose clients have yet to send something. They wait here, and not where their requests will
/// run, so that clients that send nothing take no place from those that do.
///
/// They are bounded all the same: at the limit, a new one ends the time of the one whose time would end first. But each
/// has `shortest_wait`, and until then nothing more is accepted. Nor is anything accepted while clients that have sent
/// enough wait for a place: others are as well off in the backlog.
///
/// @par Thread safety
/// For the thread that serves, except `is_open` and `size`.
class AwaitedClients {
 public:
  using time_point = AwaitedClient::time_point;
  using duration = std::chrono::steady_clock::duration;

  static constexpr duration shortest_wait = std::chrono::milliseconds(50);

  AwaitedClients() = default;
  AwaitedClients(const AwaitedClients&) = delete;
  AwaitedClients& operator=(const AwaitedClients&) = delete;

  /// From now on connections may be added, up to a limit. `one_at_a_time`: one request runs at a time, so a client that
  /// is accepted while another is awaited may have to wait for the handler of that one, while another process would
  /// have been free. So a client has `shortest_wait` to itself before the next is accepted; half of that beside one
  /// that stays silent, a quarter beside two, and so on.
  void open(std::size_t limit, bool one_at_a_time) noexcept;
  bool is_open() const noexcept { return is_open_; }
  /// From now on none may be added. Those that are here remain until `next()` has returned them.
  void close() noexcept { is_open_ = false; }

  bool may_accept() const;
  /// Returns when that may become true although nothing comes.
  time_point opens_at() const;

  /// Returns false, and leaves the connection to the caller, if there are no means to wait for it.
  bool add(Connection& connection, const Address& client_address) noexcept;
  /// Ends the time of each client that long after it was accepted.
  void shorten(duration wait) noexcept;

  /// Finds those that have sent enough, and those whose time is over.
  void look() noexcept;
  bool has_ready() const noexcept { return !ready_.empty(); }
  bool has_late() const noexcept { return !late_.empty(); }
  bool has_waiting() const noexcept { return !waiting_.empty(); }
  /// @name Each takes the first of those
  /// @{
  AwaitedClient take_ready() noexcept { return take(ready_); }
  AwaitedClient take_late() noexcept { return take(late_); }
  AwaitedClient take_waiting() noexcept;
  /// @}

  std::size_t size() const noexcept { return size_; }
  /// When to call `look()`: once the descriptor is readable (-1: there is none), and at that time.
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
    Entry(Connection& connection, const Address& client_address, time_point now)
        : client(connection, client_address, now) {}
    AwaitedClient client;
    std::list<Entry>::iterator place;
  };

  AwaitedClient take(std::list<Entry>& from) noexcept;
  void stop_watching(const Entry& entry) noexcept;
  void end_wait(Entry& entry, std::uint32_t events, bool is_over) noexcept;

  std::atomic<bool> is_open_ = false;
  std::atomic<std::size_t> size_ = 0;
  std::size_t limit_ = 0;
  bool one_at_a_time_ = false;
  time_point newest_since_{};
  Descriptor epoll_;
  std::list<Entry> waiting_;  // by their deadlines
  std::list<Entry> ready_;
  std::list<Entry> late_;
};

}  // namespace sockserv::inline abi_0::detail
