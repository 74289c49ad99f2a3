#pragma once

/// What a handler may do besides talking to its client, whichever mixin runs it. To be called from handlers (and from
/// what they hand to `offload`); outside of them each throws std::logic_error.

#include <chrono>
#include <concepts>
#include <exception>
#include <functional>
#include <optional>
#include <sockserv/export.hpp>
#include <type_traits>
#include <utility>

namespace sockserv::inline abi_0 {

namespace detail {
/// Has work done that must not throw, as `this_request::offload` does.
SOCKSERV_EXPORT void offload(const std::function<void()>& work);
}  // namespace detail

namespace this_request {

/// Waits for so long, and holds up no other request meanwhile (without a mixin there is only the one).
/// @throws boost::system::system_error with `errc::aborted` if the server aborts its requests before.
SOCKSERV_EXPORT void sleep_for(std::chrono::steady_clock::duration duration);

/// The same, until a point in time.
SOCKSERV_EXPORT void sleep_until(std::chrono::steady_clock::time_point time);

/// True once the server has been told to stop: the time for a handler that never ends of itself to do so.
SOCKSERV_EXPORT bool stop_requested();

/// Calls a function that blocks or computes for long, and returns what it returns or throws what it throws.
///
///     const Picture small = this_request::offload([&] { return scaled(picture, 0.1); });
///
/// On a fiber, one of a few threads of the server's calls it while the fiber waits; everywhere else it is called in
/// place. It may use what the handler may, since the handler waits; but thread-local variables are another thread's.
/// It cannot be aborted.
template <std::invocable Function>
std::invoke_result_t<Function> offload(Function&& function) {
  using Result = std::invoke_result_t<Function>;
  std::exception_ptr error;
  if constexpr (std::is_void_v<Result>) {
    detail::offload([&]() noexcept {
      try {
        std::invoke(std::forward<Function>(function));
      } catch (...) {
        error = std::current_exception();
      }
    });
    if (error) std::rethrow_exception(error);
  } else if constexpr (std::is_reference_v<Result>) {
    return *offload([&] { return &std::invoke(std::forward<Function>(function)); });
  } else {
    std::optional<Result> result;
    detail::offload([&]() noexcept {
      try {
        result.emplace(std::invoke(std::forward<Function>(function)));
      } catch (...) {
        error = std::current_exception();
      }
    });
    if (error) std::rethrow_exception(error);
    return std::move(*result);
  }
}

}  // namespace this_request
}  // namespace sockserv::inline abi_0
