#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>

namespace sockserv::detail {

class LiveRequests;

/// The part of a request by which its server knows of it: entered when the request is made, left when it ends, in
/// constant time; moving the request moves the entry.
class LiveRequest {
 public:
  LiveRequest() noexcept = default;
  LiveRequest(const LiveRequest&) = delete;
  LiveRequest(LiveRequest&& other) noexcept;
  LiveRequest& operator=(LiveRequest&& other) noexcept;
  ~LiveRequest() { leave(); }

  /// Enters `all`, which must outlive this. `descriptor` is what a forced end shuts down; -1: nothing.
  void enter(LiveRequests& all, int descriptor);
  /// Leaves; to be called before the descriptor is closed, so that its number cannot be shut down as another's.
  void leave() noexcept;

 private:
  friend class LiveRequests;
  void take_place_of(LiveRequest& other) noexcept;

  LiveRequests* all_ = nullptr;
  LiveRequest* previous_ = nullptr;
  LiveRequest* next_ = nullptr;
  int descriptor_ = -1;
};

/// The requests that a server has accepted and that have not ended.
///
/// @par Thread safety
/// Safe.
class LiveRequests {
 public:
  LiveRequests() noexcept = default;
  LiveRequests(const LiveRequests&) = delete;
  LiveRequests& operator=(const LiveRequests&) = delete;

  std::size_t size() const;

  /// Waits until there is none, or until the deadline; true if there is none.
  bool wait_until_none(std::chrono::steady_clock::time_point deadline);

  /// Shuts down the socket of each, which wakes whoever waits on it; returns how many requests there were.
  std::size_t shut_all_down();

  /// Held across fork(), so that the child's copy is whole and free.
  std::mutex& mutex() noexcept { return mutex_; }

  /// In a forked child: forgets all, which are the parent's, and closes the child's copies of their descriptors.
  void forget() noexcept;
  /// From now on keeps the number of requests there, for other processes to see. To be called while there is none.
  void count_in(std::atomic<std::size_t>& size) noexcept { size_ = &size; }

 private:
  friend class LiveRequest;

  mutable std::mutex mutex_;
  std::condition_variable none_left_;
  LiveRequest* first_ = nullptr;
  std::atomic<std::size_t> own_size_ = 0;
  std::atomic<std::size_t>* size_ = &own_size_;
  std::size_t waiting_ = 0;  // threads in wait_until_none()
};

}  // namespace sockserv::detail
