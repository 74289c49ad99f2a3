#include "supervisor.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <sockserv/detail/clock.hpp>
#include <sockserv/detail/deadline.hpp>
#include <sockserv/error.hpp>
#include <stdexcept>
#include <utility>

namespace sockserv::inline abi_0::detail {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

/// A worker that has lived so long has not failed at once, even if nobody has asked anything of it.
constexpr Supervisor::duration proof_time = std::chrono::seconds(1);

/// After a worker that has ended early the next one waits: the first time so long, then twice as long each time.
constexpr Seconds shortest_delay = milliseconds(100);
constexpr Seconds longest_delay = std::chrono::seconds(5);

/// While one worker is on trial, others wait for it; this is how often the parent looks.
constexpr milliseconds trial_interval(20);

/// How long a worker that was aborted because it gave no sign of life may take to exit.
constexpr Supervisor::duration kill_delay = std::chrono::seconds(1);

/// A worker's thread answers at once, whatever its handlers do; but somebody may have stopped the whole process.
constexpr milliseconds answer_limit(500);

struct Channel {
  Descriptor parents_end;
  Descriptor workers_end;
};

Channel make_channel() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    throw_error(last_system_error(), "a channel to a worker");
  }
  Channel channel{Descriptor(ends[0]), Descriptor(ends[1])};
  if (!channel.parents_end || !channel.workers_end) throw_error(last_system_error(), "a channel to a worker");
  return channel;
}

bool ended_well(const std::optional<int>& status) noexcept {
  return status && WIFEXITED(*status) && WEXITSTATUS(*status) == 0;
}

/// What a worker has answered; no value: nothing in time.
std::optional<std::size_t> answer_from(int channel, steady_clock::time_point deadline) noexcept {
  pollfd readable{channel, POLLIN, 0};
  std::size_t answer = 0;
  const bool complete = ::poll(&readable, 1, milliseconds_until(deadline)) > 0 &&
                        ::recv(channel, &answer, sizeof answer, MSG_DONTWAIT) == sizeof answer;
  return complete ? std::optional(answer) : std::nullopt;
}

std::string describe_exit(const std::optional<int>& status) {
  if (!status) return "has ended, and was reaped by somebody else";
  if (!WIFSIGNALED(*status)) return "exited with status " + std::to_string(WEXITSTATUS(*status));
  const int signal = WTERMSIG(*status);
  return "was killed by signal " + std::to_string(signal) + " (" + ::strsignal(signal) + ")";
}

}  // namespace

Supervisor::Supervisor(LogFunction log)
    : log_(std::move(log)),
      children_([this](pid_t worker, std::optional<int> status) { has_exited(worker, status); }) {}

Supervisor::~Supervisor() {
  kill();
  wait_until_none(time_point::max());
}

void Supervisor::make_slots(std::size_t count) {
  const std::scoped_lock lock(mutex_);
  if (!workers_.empty()) return;
  slots_ = SharedMemory<WorkerSlot>(count);
  workers_.resize(count);
  // A slot is used again only after those that ended before have been looked at, but for one that ends meanwhile.
  exited_.reserve(2 * count);
  parent_ = open_pidfd(::getpid());
}

pid_t Supervisor::start(const std::function<pid_t()>& fork, std::optional<ParentLink>& link) {
  Channel channel = make_channel();
  return children_.add([&, this](ClosedTogether&) {
    const std::scoped_lock lock(mutex_);  // across the fork, so that the child's copy is whole and free
    const std::size_t index = free_slot().value();
    WorkerSlot& slot = slots_.values()[index];
    Worker& worker = workers_[index];
    const std::uint64_t accepted_before = slot.counters.accepted;
    slot.ready = false;
    slot.beats = 0;
    const pid_t child = fork();
    if (child == 0) {
      for (Worker& sibling : workers_) sibling.channel.reset();
      link.emplace(slots_.values(), index, std::move(channel.workers_end), parent_.get());
    } else {
      worker = Worker{child, std::move(channel.parents_end), detail::now(), accepted_before};
    }
    return child;
  });
}

std::optional<std::size_t> Supervisor::free_slot() const {
  const auto found = std::find_if(workers_.begin(), workers_.end(), [](const Worker& each) { return each.id == 0; });
  if (found == workers_.end()) return std::nullopt;
  return static_cast<std::size_t>(found - workers_.begin());
}

bool Supervisor::is_one_ready_since(time_point then) const {
  const std::scoped_lock lock(mutex_);
  for (std::size_t index = 0; index < workers_.size(); ++index) {
    const Worker& worker = workers_[index];
    if (worker.id != 0 && worker.started >= then && slots_.values()[index].ready) return true;
  }
  return false;
}

bool Supervisor::has_free_slot() const {
  const std::scoped_lock lock(mutex_);
  return free_slot().has_value();
}

/// While workers end early, they are started one at a time, and not before the last one has proved itself or ended.
bool Supervisor::is_one_due() const {
  const std::scoped_lock lock(mutex_);
  if (!free_slot()) return false;
  if (early_deaths_ == 0) return true;
  return detail::now() >= next_start_ &&
         std::all_of(workers_.begin(), workers_.end(), [](const Worker& each) { return each.id == 0 || each.proven; });
}

bool Supervisor::has_served_well(std::size_t index) const {
  const WorkerSlot& slot = slots_.values()[index];
  const Worker& worker = workers_[index];
  return slot.ready &&
         (slot.counters.accepted > worker.accepted_before || detail::now() - worker.started >= proof_time);
}

/// Called by whichever thread has reaped it.
void Supervisor::has_exited(pid_t worker, std::optional<int> status) {
  const std::scoped_lock lock(mutex_);
  const auto found =
      std::find_if(workers_.begin(), workers_.end(), [worker](const Worker& each) { return each.id == worker; });
  const auto index = static_cast<std::size_t>(found - workers_.begin());
  WorkerSlot& slot = slots_.values()[index];
  const bool early = !has_served_well(index);
  const bool well = slot.ready && ended_well(status);
  exited_.push_back({.id = worker,
                     .status = status,
                     .early = early,
                     .well = well,
                     .overdue = found->overdue,
                     .silent = found->aborted != time_point()});
  slot.running = 0;
  *found = Worker();
}

void Supervisor::supervise(const WorkersSettings& settings) {
  note_proven();
  while (const auto worker = next_overdue(settings.boot_timeout)) children_.signal(*worker, SIGKILL);
  if (settings.worker_timeout) end_silent(*settings.worker_timeout);
  while (const auto exited = next_exited()) {
    const auto how = [&] {
      return "worker " + std::to_string(exited->id) + " " +
             (exited->overdue  ? "was not ready within its boot_timeout and was killed"
              : exited->silent ? "gave no sign of life within its worker_timeout and was killed"
                               : describe_exit(exited->status));
    };
    if (exited->early) {
      lacks_processes_ = false;
      died_early(how);
    } else {
      early_deaths_ = 0;
      if (!exited->well) log_(LogLevel::warning, [&] { return how() + "; another one takes its place"; });
    }
  }
}

void Supervisor::note_proven() {
  const std::scoped_lock lock(mutex_);
  for (std::size_t index = 0; index < workers_.size(); ++index) {
    Worker& worker = workers_[index];
    if (worker.id == 0 || worker.proven || !has_served_well(index)) continue;
    worker.proven = true;
    early_deaths_ = 0;
  }
}

/// A worker that takes too long to be ready, once.
std::optional<pid_t> Supervisor::next_overdue(duration boot_timeout) {
  const std::scoped_lock lock(mutex_);
  for (std::size_t index = 0; index < workers_.size(); ++index) {
    Worker& worker = workers_[index];
    if (worker.id == 0 || worker.overdue || slots_.values()[index].ready ||
        detail::now() - worker.started < boot_timeout) {
      continue;
    }
    worker.overdue = true;
    return worker.id;
  }
  return std::nullopt;
}

void Supervisor::end_silent(duration worker_timeout) {
  const time_point now = detail::now();
  const duration since_last_look = now - std::exchange(last_look_, now);
  for (std::size_t index = 0;; ++index) {
    pid_t worker = 0;
    int signal = 0;
    {
      const std::scoped_lock lock(mutex_);
      if (index >= workers_.size()) return;
      worker = workers_[index].id;
      signal = signal_for(workers_[index], slots_.values()[index], worker_timeout, since_last_look);
    }
    if (signal != 0) children_.signal(worker, signal);
    if (signal == SIGABRT) children_.signal(worker, SIGCONT);  // or one that was stopped would not notice
  }
}

/// Returns what to send a worker; 0: nothing. With the mutex held.
int Supervisor::signal_for(Worker& worker, const WorkerSlot& slot, duration worker_timeout, duration since_last_look) {
  if (worker.id == 0) return 0;
  if (worker.aborted != time_point()) return detail::now() - worker.aborted > kill_delay ? SIGKILL : 0;
  const std::uint64_t beats = slot.beats;
  if (beats == 0 || std::exchange(worker.beats, beats) != beats) {
    worker.silence = {};
    return 0;
  }
  // If this process was stopped itself, its workers may have been, too, and need time.
  worker.silence += std::min(since_last_look, 2 * look_interval_of(worker_timeout));
  if (worker.silence < worker_timeout - 2 * look_interval_of(worker_timeout)) return 0;
  worker.aborted = detail::now();
  return SIGABRT;
}

std::optional<Supervisor::Exited> Supervisor::next_exited() {
  const std::scoped_lock lock(mutex_);
  if (exited_.empty()) return std::nullopt;
  const Exited next = exited_.front();
  exited_.erase(exited_.begin());
  return next;
}

void Supervisor::not_started(const std::exception_ptr& error) {
  lacks_processes_ = true;
  died_early([&] { return "a worker could not be started: " + detail::describe(error); });
}

void Supervisor::died_early(const std::function<std::string()>& how) {
  ++early_deaths_;
  last_early_death_.clear();
  error_of([&] { last_early_death_ = how(); });  // the log says it as well
  // Not all at the same moment, where several servers fail for the same reason.
  const double jitter = std::uniform_real_distribution<double>(0.5, 1)(random_);
  const Seconds delay =
      jitter * std::min(shortest_delay * std::exp2(static_cast<double>(early_deaths_ - 1)), longest_delay);
  next_start_ = detail::now() + std::chrono::duration_cast<duration>(delay);
  log_(LogLevel::warning, [&] { return how() + " before it had served; the next one has to wait"; });
}

std::exception_ptr Supervisor::early_deaths_error(std::size_t limit) const {
  if (early_deaths_ < limit) return nullptr;
  const std::scoped_lock lock(mutex_);
  const auto serves = [](const Worker& each) { return each.id != 0 && each.proven; };
  if (lacks_processes_ && std::any_of(workers_.begin(), workers_.end(), serves)) return nullptr;
  return std::make_exception_ptr(std::runtime_error(
      std::to_string(early_deaths_) + " workers in a row ended before they had served; the last: " + last_early_death_ +
      ". See what worker_started() needs, and what has been logged"));
}

std::optional<Supervisor::duration> Supervisor::look_interval(const WorkersSettings& settings) const {
  std::optional<duration> interval = children_.look_interval();
  const auto at_most = [&](duration limit) { interval = std::min(interval.value_or(limit), limit); };
  const std::scoped_lock lock(mutex_);
  const auto now = detail::now();
  const std::span<WorkerSlot> slots = slots_.values();
  for (std::size_t index = 0; index < workers_.size(); ++index) {
    const Worker& worker = workers_[index];
    if (worker.id == 0) {
      at_most(std::max<duration>(next_start_ - now, trial_interval));
    } else if (!slots[index].ready && !worker.overdue) {
      at_most(std::max(settings.boot_timeout - (now - worker.started), duration::zero()));
    }
    if (worker.aborted != time_point()) at_most(kill_delay);
    if (worker.id != 0 && settings.worker_timeout) at_most(look_interval_of(*settings.worker_timeout));
  }
  return interval;
}

void Supervisor::notify(WorkerCommand command) noexcept {
  const std::scoped_lock lock(mutex_);
  send_all(command);
}

/// With the mutex held.
void Supervisor::send_all(WorkerCommand command) const noexcept {
  for (const Worker& worker : workers_) {
    // One that has ended, and has not been reaped, need not hear of it.
    if (worker.id != 0) ::send(worker.channel.get(), &command, sizeof command, MSG_NOSIGNAL | MSG_DONTWAIT);
  }
}

std::size_t Supervisor::abort() noexcept {
  // In one go: a worker that has been aborted ends, and must not be forgotten before its answer has been read.
  const std::scoped_lock lock(mutex_);
  // One whose last request is aborted may be gone before it can answer.
  for (std::size_t index = 0; index < workers_.size(); ++index) {
    workers_[index].running_before = slots_.values()[index].running;
  }
  send_all(WorkerCommand::abort);
  const time_point deadline = detail::now() + answer_limit;
  std::size_t requests = 0;
  for (const Worker& worker : workers_) {
    if (worker.id == 0) continue;
    requests += answer_from(worker.channel.get(), deadline).value_or(worker.running_before);
  }
  return requests;
}

std::size_t Supervisor::kill() noexcept {
  const std::size_t requests = this->requests();
  children_.signal_all(SIGKILL);
  return requests;
}

std::size_t Supervisor::requests() const {
  const std::scoped_lock lock(mutex_);
  std::size_t requests = 0;
  for (const WorkerSlot& slot : slots_.values()) requests += slot.running;
  return requests;
}

void Supervisor::add_to(ServerStats& stats) const {
  const std::scoped_lock lock(mutex_);
  for (const WorkerSlot& slot : slots_.values()) stats += stats_of(slot.counters);
}

}  // namespace sockserv::inline abi_0::detail
