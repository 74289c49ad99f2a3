#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <list>
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

  /// Waits until `shut_all_down()` has been called, or until then; true if it has.
  bool wait_until_cut_off(std::chrono::steady_clock::time_point time);

  /// For as long as it lives, `shut_all_down()` also calls `action`; or at once, if that has been called before.
  class CutOffAction {
   public:
    CutOffAction(LiveRequests& all, std::function<void()> action);
    CutOffAction(const CutOffAction&) = delete;
    CutOffAction& operator=(const CutOffAction&) = delete;
    ~CutOffAction();

   private:
    LiveRequests& all_;
    std::list<std::function<void()>>::iterator place_;
  };

  /// Shuts down the socket of each, which wakes whoever waits on it; returns how many requests there were.
  std::size_t shut_all_down();

  /// Held across fork(), so that the child's copy is whole and free.
  std::mutex& mutex() noexcept { return mutex_; }

 private:
  friend class LiveRequest;

  mutable std::mutex mutex_;
  std::condition_variable none_left_;
  std::condition_variable cut_off_all_;
  LiveRequest* first_ = nullptr;
  std::size_t size_ = 0;
  std::size_t waiting_ = 0;  // threads in wait_until_none()
  bool cut_off_ = false;
  std::list<std::function<void()>> cut_off_actions_;
};

}  // namespace sockserv::detail
