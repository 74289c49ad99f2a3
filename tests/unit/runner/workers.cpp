/// The runner that supervises worker processes, without a server or a socket.

#include <doctest/doctest.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <sockserv/detail/clock.hpp>
#include <sockserv/detail/runners.hpp>
#include <sockserv/detail/wait_limit.hpp>
#include <stdexcept>
#include <string>
#include <thread>

#include "server/worker_role.hpp"
#include "support/support.hpp"

namespace {

using namespace sockserv;
using namespace sockserv::detail;
using namespace std::chrono_literals;
using namespace support;

/// What workers say of themselves, in whichever process.
struct Said {
  std::atomic<int> started = 0;
  std::atomic<int> stopped = 0;
  std::atomic<int> drained = 0;
  std::atomic<std::size_t> connections = 0;
  std::atomic<bool> fails = false;
};

/// What a worker does instead of serving: it waits for a command of its parent.
void serve(const WorkerRole& role, Said& said) {
  std::mutex mutex;
  std::condition_variable told;
  std::optional<WorkerCommand> last;
  role.listen([&](WorkerCommand command) -> std::size_t {
    const std::scoped_lock lock(mutex);
    if (command == WorkerCommand::abort) return 2;
    last = command;
    told.notify_all();
    return 0;
  });
  role.started();
  said.connections += role.max_connections;
  role.running = 1;
  ++role.counters.accepted;
  role.ready();
  std::unique_lock lock(mutex);
  told.wait(lock, [&] { return last.has_value(); });
  ++(*last == WorkerCommand::drain ? said.drained : said.stopped);
}

struct NoAcceptor final : Acceptor {
  int listener() const noexcept override { return -1; }
  bool may_accept() override { return false; }
  bool accept() override { return false; }
};

/// A runner of two workers that share seven connections, and its parent's side.
class Team {
 public:
  explicit Team(Said& said)
      : runner_(
            make_workers({.settings =
                              [] {
                                return WorkersSettings{
                                    .processes = 2, .max_connections = 7, .boot_timeout = 60s, .max_early_deaths = 3};
                              },
                          .fork = [] { return ::fork(); },
                          .notify = [](boost::asio::execution_context::fork_event) {},
                          .serve = [&said](const WorkerRole& role) { serve(role, said); },
                          .started =
                              [&said] {
                                ++said.started;
                                if (said.fails) throw std::runtime_error("no database");
                              },
                          .log = [](LogLevel, const std::function<std::string()>&) {}},
                         nullptr)) {}

  Runner& operator*() const { return *runner_; }
  Runner* operator->() const { return runner_.get(); }
  sockserv::detail::Processes& processes() const { return *runner_->processes(); }
  void start() { runner_->start(acceptor_); }

  bool becomes(const std::function<bool()>& condition) const {
    return eventually([&] {
      runner_->collect();
      return condition();
    });
  }

 private:
  NoAcceptor acceptor_;
  std::unique_ptr<Runner> runner_;
};

TEST_CASE("workers: the number that was asked for starts, shares the connections, and is told to stop or to drain") {
  for (const bool to_drain : {false, true}) {
    const Shared<Said> said;
    Team team(*said);
    CHECK(team->accept());
    team.start();
    CHECK(team->watch().interval.value_or(60s) > 1s);  // the parent has nothing to do while they boot
    CHECK(team.becomes([&] { return said->connections == 7; }));
    CHECK(said->started == 2);
    CHECK(team.processes().is_ready());
    CHECK(team.processes().ids().size() == 2);
    CHECK(team.becomes([&] { return team.processes().requests(0) == 2; }));
    team->stop_accepting(to_drain);
    CHECK(team.processes().wait_until_none(no_deadline));
    CHECK((to_drain ? said->drained : said->stopped) == 2);
    CHECK(team.processes().ids().empty());
    CHECK(team.processes().requests(0) == 0);
  }
}

TEST_CASE("workers: one that is killed is replaced, and what it counted stays") {
  const Shared<Said> said;
  Team team(*said);
  team.start();
  CHECK(team.becomes([&] { return team.processes().requests(0) == 2; }));
  const std::set<pid_t> before = team.processes().ids();
  ::kill(*before.begin(), SIGKILL);
  CHECK(team.becomes([&] { return said->started == 3; }));
  CHECK(team.becomes([&] { return !team.processes().ids().contains(*before.begin()); }));
  CHECK(team.becomes([&] { return team.processes().requests(0) == 2; }));
  ServerStats stats;
  team.processes().add_to(stats);
  CHECK(stats.accepted == 3);
}

TEST_CASE("workers: an abort has their answers, and the last resort kills them") {
  const Shared<Said> said;
  Team team(*said);
  team.start();
  CHECK(team.becomes([&] { return team.processes().requests(0) == 2; }));
  CHECK(team->abort(false) == 4);
  CHECK(team.processes().ids().size() == 2);
  CHECK(team->abort(true) == 2);
  CHECK(team.processes().wait_until_none(no_deadline));
  CHECK(said->stopped == 0);
}

TEST_CASE("workers: when too many in a row end early, collect says why") {
  const Shared<Said> said;
  said->fails = true;
  Team team(*said);
  team.start();
  std::string why;
  CHECK(eventually([&] {
    try {
      team->collect();
    } catch (const std::runtime_error& error) {
      why = error.what();
    }
    return !why.empty();
  }));
  CHECK(why.find("workers in a row ended before they had served") != std::string::npos);
}

TEST_CASE("workers: those that are left are killed with their runner") {
  const Shared<Said> said;
  std::set<pid_t> ids;
  {
    Team team(*said);
    team.start();
    ids = team.processes().ids();
    CHECK(ids.size() == 2);
  }
  for (const pid_t id : ids) CHECK(::kill(id, 0) == -1);
}

TEST_CASE("workers: the backlog is left to those that run, and taken by others if none does") {
  const Shared<Said> said;
  Team team(*said);
  int turns = 0;
  const auto wait = [&] {
    ++turns;
    std::this_thread::sleep_for(1ms);
    team->collect();
  };
  CHECK(team.processes().take_backlog([&] { return turns < 10'000; }, wait));
  CHECK(turns < 10'000);
  CHECK(team.processes().wait_until_none(no_deadline));
  CHECK(said->drained > 0);
  CHECK(said->stopped == 0);
}

}  // namespace
