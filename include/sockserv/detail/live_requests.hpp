#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <sockserv/detail/counters.hpp>
#include <sockserv/detail/idle.hpp>
#include <sockserv/export.hpp>
#include <utility>

namespace sockserv::inline abi_0::detail {

class LiveRequests;

/// The part of a request by which its server knows of it: entered when the request is made, left when it ends, in
/// constant time; moving the request moves the entry. It also keeps the request's count of bytes, so that counting them
/// touches no memory that requests share.
class SOCKSERV_EXPORT LiveRequest {
 public:
  /// At how many bytes a live request adds what it has to the server's counters: those of a process may be read by
  /// another, which does not see its requests.
  static constexpr std::uint32_t fold_size = 65536;

  LiveRequest() noexcept = default;
  LiveRequest(const LiveRequest&) = delete;
  LiveRequest(LiveRequest&& other) noexcept;
  LiveRequest& operator=(LiveRequest&& other) noexcept;
  ~LiveRequest() { leave(); }

  /// Enters `all`, which must outlive this, as must `counters`, where the request's bytes count. `descriptor` is what
  /// an abort shuts down; -1: nothing.
  void enter(LiveRequests& all, Counters& counters, int descriptor);
  /// The same for what is no request, such as a connection that a handler has made itself: it is shut down with the
  /// requests, and counts as none.
  void enter_uncounted(LiveRequests& all, int descriptor);
  /// Leaves; to be called before the descriptor is closed, so that its number cannot be shut down as another's.
  void leave() noexcept;

  /// Counts bytes. One thread may receive while another sends.
  void received(std::size_t bytes) noexcept { add(bytes_in_, bytes, &Counters::bytes_in); }
  void sent(std::size_t bytes) noexcept { add(bytes_out_, bytes, &Counters::bytes_out); }

  /// From now on, its client's first request is waited for; or no longer, because the grace for that is over.
  void set_new(bool is_new) noexcept { is_new_ = is_new; }
  bool is_new() const noexcept { return is_new_; }
  /// Returns that grace. Only of a request that has entered.
  std::chrono::steady_clock::duration grace() const noexcept;

  /// Notes that the server itself shut down receiving: the end of the stream then says nothing about the client.
  void note_receiving_ended() noexcept { receiving_ended_.store(true, std::memory_order_relaxed); }
  bool has_ended_receiving() const noexcept { return receiving_ended_.load(std::memory_order_relaxed); }

  /// For as long as this lives, nothing has been asked that is not answered: `end_idle()` ends the connection, unless
  /// there is something to read.
  class Idle {
   public:
    /// Null: nothing is marked.
    explicit Idle(LiveRequest* request) noexcept;
    Idle(const Idle&) = delete;
    Idle& operator=(const Idle&) = delete;
    ~Idle() {
      if (request_) request_->idle_.store(IdleState::none, std::memory_order_relaxed);
    }

   private:
    LiveRequest* request_;
  };

  /// The server's counters; null for what has not entered, or is no request.
  Counters* counters() const noexcept { return counters_; }

 private:
  friend class LiveRequests;
  // Less than `fold_size`, and what one system call moves: less than 2 GiB.
  using Count = std::atomic<std::uint32_t>;
  enum class IdleState : unsigned char { none, is_new, idle };

  using Total = std::atomic<std::uint64_t> Counters::*;

  void add(Count& own, std::size_t bytes, Total total) noexcept {
    // Not atomic as a whole: one thread adds.
    const std::uint32_t sum = own.load(std::memory_order_relaxed) + static_cast<std::uint32_t>(bytes);
    own.store(sum, std::memory_order_relaxed);
    if (sum >= fold_size) [[unlikely]]
      fold(own, total);
  }
  void fold(Count& own, Total total) noexcept;
  void hand_in(Count& own, Total total) noexcept;
  void take_place_of(LiveRequest& other) noexcept;
  void end_if_silent() noexcept;
  void link_to(LiveRequests& all, int descriptor) noexcept;

  LiveRequests* all_ = nullptr;
  Counters* counters_ = nullptr;
  LiveRequest* previous_ = nullptr;
  LiveRequest* next_ = nullptr;
  int descriptor_ = -1;
  std::atomic<IdleState> idle_ = IdleState::none;
  std::atomic<bool> receiving_ended_ = false;
  bool is_new_ = false;  // the handler's thread's
  Count bytes_in_ = 0;
  Count bytes_out_ = 0;
};

/// The requests that a server has accepted and that have not ended.
///
/// @par Thread safety
/// Safe.
class SOCKSERV_EXPORT LiveRequests {
 public:
  struct Bytes {
    std::uint64_t in;
    std::uint64_t out;
  };

  /// `on_room` is called when a request leaves after `has_room` has said no.
  explicit LiveRequests(std::function<void()> on_room = [] {}) : on_room_(std::move(on_room)) {}
  LiveRequests(const LiveRequests&) = delete;
  LiveRequests& operator=(const LiveRequests&) = delete;

  std::size_t size() const;
  bool has_room(std::size_t limit) const;

  /// Waits until there is none, or until the deadline; true if there is none.
  bool wait_until_none(std::chrono::steady_clock::time_point deadline);

  /// Waits until `shut_all_down()` has been called, or until then; true if it has.
  bool wait_until_aborted(std::chrono::steady_clock::time_point time);

  /// For as long as it lives, `shut_all_down()` also calls `action`; or at once, if that has been called before.
  class AbortAction {
   public:
    AbortAction(LiveRequests& all, std::function<void()> action);
    AbortAction(const AbortAction&) = delete;
    AbortAction& operator=(const AbortAction&) = delete;
    ~AbortAction();

   private:
    LiveRequests& all_;
    std::list<std::function<void()>>::iterator place_;
  };

  /// From now on, ends what the clients of idle requests send, which wakes those who wait for it. Where something has
  /// come that has not been read, there is a request, and it may go on.
  void end_idle(EndIdle when);
  /// Returns true once it is to end new requests at once as well.
  bool ends_new() const noexcept { return ends_new_; }
  /// Sets how long the first request of a client is waited for before the connection is idle.
  void set_grace(std::chrono::steady_clock::duration grace) noexcept { grace_ = grace; }

  /// Shuts down the socket of each, which wakes those that wait on it; returns how many requests there were.
  std::size_t shut_all_down();
  /// True once that has been called.
  bool are_aborted() const;

  /// The bytes that `counters` has, and those that the live requests have yet to add to it.
  Bytes bytes(const Counters& counters) const;

  /// Held across fork(), so that the child's copy is whole and free.
  std::mutex& mutex() noexcept { return mutex_; }

  /// In a forked child that does not use this: closes the child's copies of the descriptors, which are the parent's.
  void close_in_child() const noexcept;
  /// From now on keeps the number of requests there, for other processes to see. To be called while there is none.
  void count_in(std::atomic<std::size_t>& size) noexcept { size_ = &size; }

 private:
  friend class LiveRequest;

  std::function<void()> on_room_;
  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable none_left_;
  std::condition_variable aborted_all_;
  LiveRequest* first_ = nullptr;
  std::atomic<std::size_t> own_size_ = 0;
  std::atomic<std::size_t>* size_ = &own_size_;
  std::size_t waiting_ = 0;           // threads in wait_until_none()
  mutable bool room_wanted_ = false;  // has_room() has said no
  bool aborted_ = false;
  std::atomic<bool> ends_idle_ = false;  // changed with the mutex held
  std::atomic<bool> ends_new_ = false;   // as well
  std::chrono::steady_clock::duration grace_{};
  std::list<std::function<void()>> abort_actions_;
};

}  // namespace sockserv::inline abi_0::detail
