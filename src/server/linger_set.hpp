#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <sockserv/detail/descriptor.hpp>
#include <sockserv/fwd.hpp>
#include <utility>

#include "../connection/lingering.hpp"

namespace sockserv::inline abi_0::detail {

class ClosedTogether;

/// The lingering connections of one process. They need no thread of their own: the serving loop calls `serve()`. After
/// that loop has ended, the functions that wait for requests do.
///
/// @par Thread safety
/// Safe.
class LingerSet {
 public:
  using time_point = Lingering::time_point;

  /// `on_first` is called when the set has got a connection and had none.
  explicit LingerSet(std::function<void()> on_first) : on_first_(std::move(on_first)) {}
  LingerSet(const LingerSet&) = delete;
  LingerSet& operator=(const LingerSet&) = delete;

  /// If it throws, the connection is still the caller's.
  /// @throws boost::system::system_error or std::bad_alloc if descriptors or memory are lacking.
  void add(Connection& connection, const ServerOptions& options);
  /// Discards what has come, and closes the connections that are done with.
  void serve() noexcept;
  /// Does so until none is left.
  void serve_until_empty() noexcept;

  std::size_t size() const noexcept { return size_; }
  /// When to call `serve()`: once the descriptor is readable (-1: there is none), and at that time.
  struct Watch {
    int descriptor = -1;
    time_point deadline = time_point::max();
  };
  Watch watch() const;

  /// Closes all.
  void close() noexcept;

  /// Held across fork(), so that the child's copy is whole and free.
  std::mutex& mutex() noexcept { return mutex_; }
  /// In a forked child that goes on with the rest of the server: gives away the parent's descriptors.
  void become_child(ClosedTogether& unneeded) noexcept;
  /// In a forked child that does not use this.
  void close_in_child() noexcept { epoll_.reset(); }

 private:
  static constexpr std::size_t scratch_size = 65536;

  void prepare();
  void stop_watching(const Lingering& connection) noexcept;

  const std::function<void()> on_first_;
  std::atomic<std::size_t> size_ = 0;
  mutable std::mutex mutex_;  // guards what follows
  Descriptor epoll_;
  std::unique_ptr<char[]> scratch_;
  std::list<Lingering> connections_;
};

}  // namespace sockserv::inline abi_0::detail
