#pragma once

/// Asio's asynchronous operations, awaited from a handler as if they were functions.

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <concepts>
#include <exception>
#include <memory>
#include <optional>
#include <sockserv/detail/deadline.hpp>
#include <sockserv/detail/scheduler.hpp>
#include <sockserv/error.hpp>
#include <sockserv/export.hpp>
#include <tuple>
#include <type_traits>
#include <utility>

namespace sockserv::inline abi_0 {

namespace this_request {

/// Where the asynchronous operations of a handler run: timers, sockets and resolvers that it awaits are made with it.
/// On a fiber, it is that of the fiber's loop; on a plain thread, one of its own, which runs only while the thread
/// awaits. In a process that the server has forked it is another one than in its parent.
///
/// @par Descriptors
/// With the first timer or socket that is made with it, that of a plain thread takes three descriptors: an epoll set,
/// an eventfd and a timerfd. The thread keeps them until it ends, and then they are kept for the next thread that
/// awaits: so a process has three times as many as it has had such threads at the same time. Fibers take none.
/// @throws std::logic_error outside of handlers.
SOCKSERV_EXPORT boost::asio::io_context::executor_type executor();

}  // namespace this_request

namespace detail {

/// Returns the scheduler of the handler that is calling.
/// @throws std::logic_error outside of handlers.
SOCKSERV_EXPORT Scheduler& scheduler_of_request();

/// One awaited operation. Shared by the one who waits and by the operation, which may go on after that.
class SOCKSERV_EXPORT Awaited {
 public:
  explicit Awaited(Scheduler& scheduler) : scheduler_(&scheduler), executor_(scheduler.context().get_executor()) {}

  boost::asio::io_context::executor_type executor() const noexcept { return executor_; }
  boost::asio::cancellation_slot slot() noexcept { return signal_.slot(); }

  /// The operation has ended.
  void finish() noexcept {
    done_ = true;
    if (scheduler_) scheduler_->wake();
  }
  /// The operation has been dropped, and will not end: an exception that one of its steps threw has taken it along.
  void drop() noexcept {
    // In another thread it is the end of the operation's own executor.
    if (executor_.running_in_this_thread()) finish();
  }

  /// Waits for its end. If the deadline or the server's patience comes first, cancels it and then waits for its end, or
  /// leaves it to itself if it cannot be cancelled. Returns what came first.
  Scheduler::Outcome wait(time_point deadline);

 private:
  Scheduler* scheduler_;  // null: nobody waits any more
  boost::asio::io_context::executor_type executor_;
  boost::asio::cancellation_signal signal_;
  bool done_ = false;
};

/// Throws for an operation that was not waited for, because of that; `done`: it was dropped.
[[noreturn]] SOCKSERV_EXPORT void throw_given_up(Scheduler::Outcome reason);

template <class Type>
concept AwaitError = std::same_as<Type, error_code> || std::same_as<Type, std::exception_ptr>;

template <class... Results>
inline constexpr bool begins_with_error = false;
template <AwaitError Error, class... Values>
inline constexpr bool begins_with_error<Error, Values...> = true;

/// True for the error of an operation that was cancelled.
inline bool is_cancellation(const error_code& error) noexcept { return error == boost::asio::error::operation_aborted; }
SOCKSERV_EXPORT bool is_cancellation(const std::exception_ptr& error) noexcept;

template <class... Results>
bool report_cancellation(const std::tuple<Results...>& results) noexcept {
  if constexpr (begins_with_error<Results...>) {
    return is_cancellation(std::get<0>(results));
  } else {
    return false;
  }
}

/// The same, with what the operation gives.
template <class... Results>
struct AwaitedResults : Awaited {
  using Awaited::Awaited;

  /// Waits for them; throws if it gave up before they were there.
  std::tuple<Results...> wait_for_results(time_point deadline) {
    const Scheduler::Outcome first = wait(deadline);
    if (!results || (first != Scheduler::Outcome::done && report_cancellation(*results))) throw_given_up(first);
    return std::move(*results);
  }

  std::optional<std::tuple<Results...>> results;
};

/// What an operation calls when it has ended.
template <class... Results>
class AwaitHandler {
 public:
  explicit AwaitHandler(std::shared_ptr<AwaitedResults<Results...>> awaited) noexcept : awaited_(std::move(awaited)) {}
  AwaitHandler(AwaitHandler&&) noexcept = default;
  ~AwaitHandler() {
    if (awaited_) awaited_->drop();
  }

  using executor_type = boost::asio::io_context::executor_type;
  executor_type get_executor() const noexcept { return awaited_->executor(); }
  using cancellation_slot_type = boost::asio::cancellation_slot;
  cancellation_slot_type get_cancellation_slot() const noexcept { return awaited_->slot(); }

  template <class... Arguments>
  void operator()(Arguments&&... arguments) {
    awaited_->results.emplace(std::forward<Arguments>(arguments)...);
    std::exchange(awaited_, nullptr)->finish();
  }

 private:
  std::shared_ptr<AwaitedResults<Results...>> awaited_;  // null once that has happened
};

/// The completion token that `await` hands to an operation; initiating that gives an AwaitedResults.
struct AwaitToken {
  Scheduler& scheduler;
};

inline void throw_if(const error_code& error) { check(error, "await"); }
inline void throw_if(const std::exception_ptr& error) {
  if (error) std::rethrow_exception(error);
}

/// Nothing, the one value, or a tuple of them.
template <class... Values>
auto plain_value_of(std::tuple<Values...>&& values) {
  if constexpr (sizeof...(Values) == 1) {
    return std::get<0>(std::move(values));
  } else if constexpr (sizeof...(Values) > 1) {
    return std::move(values);
  }
}

/// What `await` returns. An error in the first place is thrown.
template <class... Results>
auto value_of(std::tuple<Results...>&& results) {
  if constexpr (begins_with_error<Results...>) {
    throw_if(std::get<0>(results));
    return std::apply(
        [](auto&, auto&... values) {
          return plain_value_of(std::tuple<std::remove_reference_t<decltype(values)>...>(std::move(values)...));
        },
        results);
  } else {
    return plain_value_of(std::move(results));
  }
}

}  // namespace detail

/// Starts an asynchronous operation of Asio and waits for its end as the handler's mixin does: on a fiber other
/// requests run meanwhile, on a plain thread nothing else does.
///
///     tcp::resolver resolver(this_request::executor());
///     auto found = await([&](auto token) { return resolver.async_resolve("localhost", "80", token); }, 2s);
///
/// `initiate` passes its argument to the operation as the completion token, and returns what that returns. `await`
/// returns what the operation hands to its handler, without an error_code or std::exception_ptr in front: nothing, one
/// value, or a tuple.
///
/// @param limit How long to wait; no value: for as long as it takes. An operation that takes longer is cancelled, if it
///     supports cancellation (Asio's resolvers do not), and otherwise left to itself: what it refers to must then
///     outlive it. One that was cancelled is waited for, and if it ends with anything but
///     `boost::asio::error::operation_aborted`, because it had succeeded or failed already, that is its result as if
///     the limit had not passed; so what an operation has done is never lost. (One without an error in front cannot say
///     that it was cancelled: its result is returned.) Objects made with another executor than
///     `this_request::executor()` must tolerate being cancelled from this thread.
/// @throws boost::system::system_error for the operation's error, or with `boost::asio::error::operation_aborted` if
/// the
///     operation was dropped because one of its steps threw; `timeout_error` if the limit has passed; with
///     `errc::aborted` if the server has aborted the request, which cancels the operation in the same way;
///     std::logic_error outside of handlers.
template <class Initiate>
auto await(Initiate&& initiate, std::optional<std::chrono::steady_clock::duration> limit = std::nullopt) {
  const auto deadline = limit ? detail::deadline_after(*limit) : detail::no_deadline;
  const auto awaited = std::forward<Initiate>(initiate)(detail::AwaitToken{detail::scheduler_of_request()});
  return detail::value_of(awaited->wait_for_results(deadline));
}

}  // namespace sockserv::inline abi_0

template <class Return, class... Arguments>
class boost::asio::async_result<sockserv::detail::AwaitToken, Return(Arguments...)> {
 public:
  using return_type = std::shared_ptr<sockserv::detail::AwaitedResults<std::decay_t<Arguments>...>>;

  template <class Initiation, class... Rest>
  static return_type initiate(Initiation&& initiation, sockserv::detail::AwaitToken token, Rest&&... rest) {
    auto awaited = std::make_shared<sockserv::detail::AwaitedResults<std::decay_t<Arguments>...>>(token.scheduler);
    std::forward<Initiation>(initiation)(sockserv::detail::AwaitHandler<std::decay_t<Arguments>...>(awaited),
                                         std::forward<Rest>(rest)...);
    return awaited;
  }
};
