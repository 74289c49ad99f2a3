#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <sockserv/detail/counters.hpp>
#include <sockserv/server/abstract.hpp>
#include <sockserv/server/stats.hpp>

namespace sockserv::inline abi_0::detail {

/// What a parent tells its workers.
enum class WorkerCommand : char {
  finish = 'f',  ///< Accept no more, finish, exit. Idle connections end, new ones after their grace.
  stop = 's',    ///< The same, and new ones end at once.
  drain = 'd',   ///< Take the backlog, then `finish`.
  abort = 'a',   ///< Abort what still runs, and answer how many requests that was.
};

/// What a server in a worker process has from its parent: its share of the limits, and the ways to reach the parent.
struct WorkerRole {
  Counters& counters;                 ///< Where the worker counts.
  std::atomic<std::size_t>& running;  ///< Where it keeps the number of its requests.
  std::size_t max_connections;        ///< Its share; 0: no limit.
  std::uint64_t max_requests;         ///< After accepting this many it stops; 0: no limit.
  std::atomic<std::uint64_t>& beats;  ///< Where it counts its signs of life while it serves; 0 when it does not.
  std::optional<AbstractServer::duration> beat_interval;  ///< How often it gives one. No value: never.

  /// Called before the worker serves: from then on each command of the parent is passed to the function, in a thread of
  /// its own, and what it returns is the answer to `abort`.
  std::function<void(std::function<std::size_t(WorkerCommand)>)> listen;
  /// Has that thread handle `finish`, as if the parent had told it. Async-signal-safe.
  std::function<void()> finish;
  /// Called before the worker serves, after `listen`: the user's `worker_started()`.
  std::function<void()> started;
  /// Called when the worker is about to accept.
  std::function<void()> ready;
  /// Adds what all other workers counted.
  std::function<void(ServerStats&)> add_siblings;
};

}  // namespace sockserv::inline abi_0::detail
