#pragma once

#include <sys/epoll.h>

#include <array>
#include <atomic>
#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/intrusive/list.hpp>
#include <boost/intrusive/set.hpp>
#include <boost/thread/thread.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <sockserv/address.hpp>
#include <sockserv/detail/contexts.hpp>
#include <sockserv/detail/descriptor.hpp>
#include <sockserv/detail/fibers_settings.hpp>
#include <sockserv/error.hpp>
#include <string>
#include <vector>

#include "fiber.hpp"
#include "input_buffers.hpp"
#include "loop_owner.hpp"
#include "operation_memory.hpp"
#include "overflow.hpp"
#include "stacks.hpp"

namespace sockserv::inline abi_0::fiber {

/// One thread that runs fibers, as their connections, timers and operations become ready.
///
/// Its Asio io_context is the outer loop: timers, signals, resolvers and whatever operation a handler awaits run
/// there. Connections are in an epoll set of the loop's own, each registered once and edge-triggered, and that set is
/// one descriptor in the io_context. While many connections are busy, the loop goes round in its own set and Asio costs
/// it nothing; after some rounds Asio has its turn.
///
/// @par Thread safety
/// What is marked so may be called by any thread; the rest belongs to the loop's own.
class Loop {
 public:
  Loop(LoopOwner& owner, const detail::FibersSettings& settings);
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;
  ~Loop() { stop(); }

  /// @name For any thread
  /// @{

  /// The loop whose thread is calling; null: none.
  static Loop* current() noexcept;
  /// What the loop can be asked to do.
  enum class Order : unsigned {
    accept = 1,  ///< Accepts requests.
    abort = 2,   ///< End what tasks wait for, if that is not their connection.
    end = 4,     ///< End the thread.
  };
  /// Has the loop do that soon.
  void order(Order what) noexcept;
  /// Has `action` done by the loop. The memory is used until then, and by nothing else.
  template <class Action>
  void post(OperationMemory& memory, Action action) noexcept {
    boost::asio::post(context_, boost::asio::bind_allocator(memory.allocator(), [this, action] {
                        action();
                        settle();
                      }));
  }
  /// Has a fiber of this loop do the task. If it throws, the task is still the caller's.
  void start(std::unique_ptr<detail::Task>& task);
  /// How many tasks it has.
  std::size_t load() const noexcept { return load_.load(std::memory_order_relaxed); }
  /// Ends the thread. No task may be left.
  void stop() noexcept;

  /// What the loop is doing, for those who watch it from outside.
  struct LoopSnapshot {
    std::uint64_t turn;  ///< Counts the times that a fiber has run.
    bool running;        ///< A fiber runs now.
  };
  LoopSnapshot snapshot() const noexcept;
  /// Whose request the fiber serves that runs now, if this is still the same turn.
  std::optional<Address> client_of(std::uint64_t turn) const;
  /// @}

  /// @name For its fibers
  /// @{

  /// Tells the fiber of everything that happens to this descriptor, until that is closed.
  error_code watch(int descriptor, Fiber& fiber) noexcept;
  /// Tells it no more. The descriptor is still open.
  void stop_watching(int descriptor) noexcept;
  /// Has the fiber run when those before it have had their turn.
  void make_ready(Fiber& fiber) noexcept;
  /// Has the fiber told when the time has come; calling it again can only make that earlier, until it has come.
  void set_timer(Fiber& fiber, std::chrono::steady_clock::time_point time);
  /// The fiber's task is done: takes it away, and the fiber back.
  void done(Fiber& fiber, std::unique_ptr<detail::Task> task) noexcept;

  boost::asio::io_context& context() noexcept { return context_; }
  InputBuffers& input_buffers() noexcept { return input_buffers_; }
  LoopOwner& owner() noexcept { return owner_; }
  bool short_read_empties() const noexcept { return settings_.short_read_empties; }
  /// True if the caller is on that fiber.
  bool is_running(const Fiber& fiber) const noexcept {
    return current() == this && running_.load(std::memory_order_relaxed) == &fiber;
  }
  /// Runs what is ready, unless a fiber is calling: then that happens when it parks.
  void settle();
  /// @}

  /// Has the loop look for requests whenever the socket becomes readable. In any thread, while it does not accept.
  void watch_listener(int listener);
  /// Not for now; and again, also for what is there already. In its own thread.
  void pause_watching() noexcept;
  error_code resume_watching() noexcept;
  /// Has the loop look for requests again after its next round. In its own thread.
  void accept_again() noexcept { accept_again_ = true; }
  void run_ready();
  /// True if the address is in the guard of the fiber that runs; for signal handlers in the loop's thread.
  bool running_fiber_guards(const void* address) const noexcept;
  const char* overflow_message() const noexcept { return overflow_message_.c_str(); }

 private:
  friend class Fiber;
  using Timers =
      boost::intrusive::multiset<Fiber, boost::intrusive::member_hook<Fiber, Fiber::TimerHook, &Fiber::timer_hook>,
                                 boost::intrusive::compare<Fiber::TimerOrder>,
                                 boost::intrusive::constant_time_size<false>>;
  using Fibers = boost::intrusive::list<Fiber, boost::intrusive::member_hook<Fiber, Fiber::ListHook, &Fiber::live_hook>,
                                        boost::intrusive::constant_time_size<false>>;

  void run_thread();
  void begin(std::unique_ptr<detail::Task> task) noexcept;
  void run(Fiber& fiber) noexcept;
  void carry_out(unsigned orders) noexcept;
  void accept() { owner_.accept(*this); }
  void end() noexcept;
  void wait_for_events(bool go_round_anyway = false) noexcept;
  void watch_epoll_set();
  void go_round();
  int serve_events();
  int look_for_events() noexcept;
  void notify_timers();
  void arm_timer();
  Fiber& take_fiber();
  /// Only the loop's thread changes it, so this need not be one operation.
  void add_load(std::ptrdiff_t change) noexcept {
    load_.store(load() + static_cast<std::size_t>(change), std::memory_order_relaxed);
  }

  LoopOwner& owner_;
  const detail::FibersSettings& settings_;
  const std::string overflow_message_;

  detail::LeasedContext leased_;
  boost::asio::io_context& context_{leased_.get()};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{context_.get_executor()};
  boost::asio::posix::stream_descriptor epoll_;
  boost::asio::steady_timer timer_{context_};
  std::chrono::steady_clock::time_point timer_set_for_ = std::chrono::steady_clock::time_point::max();
  std::array<epoll_event, 256> events_;
  std::atomic<unsigned> orders_ = 0;  // given and not carried out
  OperationMemory orders_memory_;
  OperationMemory round_memory_;
  OperationMemory end_memory_;
  const std::unique_ptr<char[]> signal_stack_ = std::make_unique_for_overwrite<char[]>(OverflowWatch::stack_size);

  InputBuffers input_buffers_;
  Stacks stacks_;
  std::vector<Fiber*> fibers_;  // all
  std::vector<Fiber*> idle_;    // used last, taken first
  Fibers live_;                 // those with a task
  Timers timers_;
  Fiber* first_ready_ = nullptr;
  Fiber* last_ready_ = nullptr;
  int listener_ = -1;
  bool watches_listener_ = false;
  bool ending_ = false;  // waits for no more events
  bool accept_again_ = false;
  bool waiting_for_events_ = false;  // Asio watches the epoll set
  bool round_posted_ = false;        // … or has been asked to go round anyway

  // The thread's own variables, which are exchanged when it switches.
  ExceptionState* exceptions_ = nullptr;
  detail::RequestScope** scope_ = nullptr;
  SanitizedStack* sanitized_ = nullptr;

  std::atomic<std::size_t> load_ = 0;
  std::atomic<std::uint64_t> turn_ = 0;
  std::atomic<Fiber*> running_ = nullptr;
  mutable std::mutex tasks_;  // held while a task is hidden before it ends, and while its client is asked for

  boost::thread thread_;  // last: it uses the rest
};

}  // namespace sockserv::inline abi_0::fiber
