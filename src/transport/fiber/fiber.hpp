#pragma once

#include <array>
#include <atomic>
#include <boost/context/fiber.hpp>
#include <boost/intrusive/list.hpp>
#include <boost/intrusive/set.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <sockserv/detail/request_scope.hpp>
#include <sockserv/detail/scheduler.hpp>
#include <sockserv/detail/task.hpp>
#include <sockserv/detail/transport.hpp>

#include "sanitizers.hpp"
#include "stacks.hpp"

namespace sockserv::inline abi_0::fiber {

class Loop;

/// What the C++ runtime keeps for each thread and should keep for each fiber: the exceptions being handled, and how
/// many are in flight (`__cxa_eh_globals` of the Itanium C++ ABI).
struct ExceptionState {
  void* caught = nullptr;
  unsigned uncaught = 0;
};

/// A stack that serves one request after another; the transport of that request; and the scheduler of what runs on it:
/// the fiber parks, and its loop runs others meanwhile.
///
/// It lives at the top of its own stack, in memory that stays what it is for as long as its loop lives; so a late event
/// for a connection that is gone finds a fiber, and at worst wakes it for nothing.
///
/// @par Thread safety
/// Belongs to its loop's thread and never leaves it. If an operation is called by another thread (a handler has passed
/// its request on), it blocks there as it would without fibers.
class Fiber final : public detail::Transport, public detail::Scheduler {
 public:
  using time_point = detail::time_point;

  /// Makes a fiber on that stack; it is idle.
  static Fiber& make(Loop& loop, const Stack& stack, std::size_t number);
  /// Ends an idle fiber, whose stack is then free.
  void end() noexcept;

  /// @name For the loop
  /// @{
  void begin(std::unique_ptr<detail::Task> task) noexcept;
  /// Goes on until it parks, or its task is done.
  void resume() noexcept;
  /// Has the processor fetch what the fiber will need when it goes on, while something else is done: first this object,
  /// and then, when that is there, its stack.
  void prefetch() const noexcept {
    for (std::size_t offset = 0; offset < sizeof *this; offset += 64) {
      __builtin_prefetch(reinterpret_cast<const char*>(this) + offset, 1);
    }
  }
  void prefetch_stack() const noexcept;
  /// What epoll says of its connection; true if the fiber can go on.
  bool happened(std::uint32_t events) noexcept;
  /// The time for which it is in the loop's timers has come.
  void time_has_come(time_point now) noexcept;
  /// The server is done waiting for its requests: ends `sleep_for` and the like.
  void abort() noexcept;
  /// True if this address is in the guard below its stack.
  bool guards(const void* address) const noexcept;
  /// What it does, for other threads to see, until it is hidden from them; null: nothing.
  const detail::Task* task() const noexcept { return visible_task_.load(std::memory_order_acquire); }
  void hide_task() noexcept { visible_task_.store(nullptr, std::memory_order_release); }
  /// @}

  /// @name Transport
  /// @{
  std::size_t receive(int descriptor, std::span<const iovec> buffers, detail::WaitLimit limit,
                      error_code& error) noexcept override;
  std::size_t receive_more(int descriptor, detail::InputBuffer& buffer, detail::LiveRequest* idle,
                           detail::WaitLimit limit, error_code& error) override;
  std::size_t send(int descriptor, std::span<const iovec> buffers, detail::WaitLimit limit,
                   error_code& error) noexcept override;
  std::size_t send_file(int descriptor, int file, std::uint64_t offset, std::size_t count, detail::WaitLimit limit,
                        error_code& error) noexcept override;
  void send_to(int descriptor, std::string_view packet, const Address& address, const detail::Host& source,
               error_code& error) noexcept override;
  void release(int descriptor) noexcept override;
  void wait_until_ready(int descriptor, short events, detail::WaitLimit limit, error_code& error) noexcept override;
  bool has_input(int descriptor) noexcept override;
  /// @}

  /// @name Scheduler
  /// @{
  bool may_block() const noexcept override { return !runs_here(); }
  void take_turns() noexcept override;
  void wait_for_descriptor(int descriptor, short events, time_point deadline, error_code& error) noexcept override;
  bool sleep_until(time_point time, detail::LiveRequests* live) override;
  void offload(const std::function<void()>& work) override;
  boost::asio::io_context& context() override;
  Outcome wait_until_done(const bool& done, time_point deadline, detail::LiveRequests* live) override;
  void wake() override;
  /// @}

 private:
  /// What it takes to go on, where it is not told otherwise.
  enum class Parked : std::uint8_t {
    not_parked,  ///< Runs, or will soon.
    idle,        ///< Has no task.
    to_receive,
    to_send,
    to_receive_or_send,
    to_be_woken,
  };

  Fiber(Loop& loop, const Stack& stack);
  ~Fiber() = default;

  void run_tasks();
  void run_task() noexcept;
  void switch_to_loop() noexcept;
  bool park(Parked parked, time_point deadline) noexcept;
  bool park_for_readiness(int descriptor, Parked parked, detail::WaitLimit& limit, error_code& error) noexcept;
  template <class Attempt>
  std::size_t send_by(const Attempt& attempt, int descriptor, detail::WaitLimit limit, error_code& error) noexcept;
  std::optional<std::size_t> try_to_receive(int descriptor, std::span<const iovec> buffers, error_code& error) noexcept;
  void give_turn() noexcept;
  bool runs_here() const noexcept;
  void go_on() noexcept;

  // What each switch and each wait touches comes first, to be close together.
  Loop& loop_;
  boost::context::fiber self_;       // where it goes on; empty while it runs
  boost::context::fiber loop_side_;  // where the loop goes on; empty while that runs
  const char* parked_at_ = nullptr;  // its stack's end, while it does not run
  // Of the thread, while the fiber runs; kept here while it does not.
  ExceptionState exceptions_;
  detail::RequestScope* scope_ = nullptr;
  int watched_ = -1;  // the descriptor that the loop watches for it
  Parked parked_ = Parked::idle;
  bool readable_ = true;  // worth trying; so is a connection that nothing is known about
  bool writable_ = true;
  bool short_read_empties_ = false;
  bool timed_out_ = false;
  bool aborted_ = false;
  bool ending_ = false;
  std::uint8_t turns_left_ = 0;
  time_point deadline_ = detail::no_deadline;  // of the present wait

  std::unique_ptr<detail::Task> task_;
  std::atomic<const detail::Task*> visible_task_ = nullptr;
  Stack stack_;
  [[no_unique_address]] SanitizedStack sanitized_;

 public:
  /// @name What makes it a member of its loop's lists
  /// @{
  using ListHook = boost::intrusive::list_member_hook<boost::intrusive::link_mode<boost::intrusive::normal_link>>;
  using TimerHook = boost::intrusive::set_member_hook<boost::intrusive::link_mode<boost::intrusive::normal_link>>;
  struct TimerOrder {
    bool operator()(const Fiber& left, const Fiber& right) const noexcept { return left.timer < right.timer; }
  };

  Fiber* next_ready = nullptr;
  bool in_timers = false;
  time_point timer{};  // when it wants to be told; never later than its deadline
  TimerHook timer_hook;
  ListHook live_hook;
  /// @}
};

}  // namespace sockserv::inline abi_0::fiber
