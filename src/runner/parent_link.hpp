#pragma once

#include <cstddef>
#include <functional>
#include <sockserv/detail/descriptor.hpp>
#include <span>
#include <utility>

#include "../server/worker_role.hpp"
#include "worker_slot.hpp"

namespace sockserv::inline abi_0::detail {

/// Connects a worker with its parent, by a slot in memory that they share and by a channel for the parent's commands.
///
/// A worker exits as soon as its parent does, for whatever reason: the thread that waits for commands also waits for
/// the parent's exit.
class ParentLink {
 public:
  /// `own` is the index of the worker's slot, and `parent` a pidfd, which outlives the worker.
  ParentLink(std::span<WorkerSlot> slots, std::size_t own, Descriptor channel, int parent) noexcept
      : slots_(slots), own_(own), channel_(std::move(channel)), parent_(parent) {}

  /// Has each command passed to `handle`, in a thread. Returns when the thread runs.
  void listen(std::function<std::size_t(WorkerCommand)> handle);

  /// Has `handle` called with `WorkerCommand::finish`, once. Async-signal-safe.
  void finish() noexcept;

  WorkerSlot& own_slot() const noexcept { return slots_[own_]; }
  std::size_t own_index() const noexcept { return own_; }
  /// Adds what all workers counted except this one.
  void add_siblings(ServerStats& stats) const noexcept;

 private:
  std::span<WorkerSlot> slots_;
  std::size_t own_;
  Descriptor channel_;
  Descriptor finish_;  // an eventfd
  int parent_;
};

}  // namespace sockserv::inline abi_0::detail
