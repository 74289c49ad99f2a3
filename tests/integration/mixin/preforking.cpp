#include <sockserv/mixin/preforking.hpp>  // first, to test that it is self-contained

#include <doctest/doctest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <map>
#include <mutex>
#include <optional>
#include <sockserv.hpp>
#include <thread>
#include <vector>

#include "support/support.hpp"

namespace {

using namespace sockserv;
using namespace support;
using boost::asio::execution_context;
using std::chrono::steady_clock;

/// Says which process it runs in, and does what the client says.
struct Obeys : StreamRequestHandler {
  void handle() override {
    wfile.write(std::to_string(::getpid()) + "\n");
    while (const auto line = rfile.readline()) {
      const std::string command(*line);
      if (command == "crash\n") ::raise(SIGKILL);
      if (command == "fail\n") throw std::runtime_error("as told");
      if (command == "compute\n") {
        for (volatile bool on = true; on;) ::usleep(1000);
      }
      if (command == "descriptors\n") {
        wfile.write(std::to_string(open_descriptors().size()) + "\n");
      } else {
        wfile.write(command);
      }
    }
  }
};

/// A client, and the worker that serves it.
struct Visit {
  explicit Visit(const Address& server) : client(server), worker(std::stoi(client.read_line())) {}

  std::string ask(const std::string& command) {
    client.send(command);
    return client.read_line();
  }

  StreamClient client;
  pid_t worker;
};

/// True for a child that has ended and that nobody has reaped.
bool has_ended(pid_t child) {
  siginfo_t end{};
  const int result = ::waitid(P_PID, static_cast<id_t>(child), &end, WEXITED | WNOHANG | WNOWAIT);
  return result == 0 ? end.si_pid == child : errno == ECHILD;  // the serving loop may have reaped it
}

TEST_CASE("as many workers as asked for serve, and the parent does not") {
  PreForkingTCPServer<Obeys> server(loopback());
  CHECK(server.processes == detail::processors());
  server.processes = 3;
  const ServerThread background(server);
  std::vector<std::unique_ptr<Visit>> visits;
  std::set<pid_t> workers;
  for (int i = 0; i < 3; ++i) {
    visits.push_back(std::make_unique<Visit>(server.server_address()));
    workers.insert(visits.back()->worker);
  }
  CHECK(workers.size() == 3);
  CHECK(workers == server.active_children());
  CHECK(server.requests_running() == 3);
  CHECK(server.stats().accepted == 3);
  visits.clear();
  CHECK(eventually([&] { return server.requests_running() == 0; }));
}

TEST_CASE("a killed worker is replaced, and what it has counted stays") {
  Lines lines;
  PreForkingTCPServer<Obeys> server(loopback(), {.log = lines.sink()});
  server.processes = 1;
  ServerThread background(server);
  for (int i = 1; i <= 3; ++i) {
    Visit visit(server.server_address());
    visit.client.send("fail\n");
    CHECK(visit.client.read_all().empty());
    Visit killed(server.server_address());
    CHECK(killed.worker == visit.worker);
    ::kill(killed.worker, SIGKILL);
    CHECK(killed.client.read_all().empty());
    Visit next(server.server_address());
    CHECK(next.worker != visit.worker);
    CHECK(server.stats().accepted == static_cast<std::size_t>(3 * i));
    CHECK(server.stats().handler_errors == static_cast<std::size_t>(i));
  }
  background.stop();
  CHECK(lines.mention("killed by signal 9 (Killed); another one takes its place"));
  CHECK(server.active_children().empty());
}

TEST_CASE("a handler that crashes ends its own worker only") {
  PreForkingTCPServer<Obeys> server(loopback(), quiet());
  server.processes = 2;
  const ServerThread background(server);
  Visit bystander(server.server_address());
  Visit victim(server.server_address());
  victim.client.send("crash\n");
  CHECK(victim.client.read_all().empty());
  CHECK(bystander.ask("still here\n") == "still here\n");
  Visit next(server.server_address());
  CHECK(next.worker != victim.worker);
  CHECK(next.worker != bystander.worker);
}

struct CannotStart : PreForkingTCPServer<Obeys> {
  CannotStart(Lines& lines, bool crashes)
      : PreForkingTCPServer<Obeys>(loopback(), {.log = lines.sink()}), crashes_(crashes) {}
  ~CannotStart() override { server_close(); }
  void worker_started() override {
    if (crashes_) ::raise(SIGKILL);
    throw std::runtime_error("no database");
  }
  bool crashes_;
};

TEST_CASE("workers that cannot start are tried again, more and more slowly, and then given up") {
  const auto text_of_error = [](CannotStart& server) -> std::string {
    try {
      server.serve_forever();
    } catch (const std::runtime_error& error) {
      return error.what();
    }
    return "none";
  };
  Lines lines;
  SUBCASE("one worker") {
    CannotStart server(lines, false);
    server.processes = 1;
    server.max_early_deaths = 4;
    const auto start = steady_clock::now();
    const std::string error = text_of_error(server);
    CHECK(steady_clock::now() - start >= 50ms + 100ms + 200ms);
    CHECK(error.find("4 workers in a row ended before they had served") == 0);
    CHECK(error.find("exited with status 1") != std::string::npos);
    CHECK(error.find("worker_started()") != std::string::npos);
    CHECK(lines.mention("exited with status 1 before it had served"));
    CHECK(server.state() == ServerState::stopped);
    CHECK(server.active_children().empty());
  }
  SUBCASE("many at once, by a signal") {
    CannotStart server(lines, true);
    server.processes = 6;
    server.max_early_deaths = 6;
    CHECK(text_of_error(server).find("was killed by signal 9 (Killed)") != std::string::npos);
  }
}

TEST_CASE("workers that exit because the server is shut down have not ended early") {
  for (int round = 0; round < 20; ++round) {
    PreForkingTCPServer<Obeys> server(loopback(), quiet());
    server.processes = 4;
    server.max_early_deaths = 1;
    std::exception_ptr error;
    std::thread serving([&] { error = detail::error_of([&] { server.serve_forever(); }); });
    const Visit visit(server.server_address());
    server.shutdown();
    serving.join();
    CHECK_FALSE(error);
  }
}

TEST_CASE("when the server gives up, the workers that serve finish") {
  static const Shared<std::atomic<int>> starts;
  struct OnlyTheFirst : PreForkingTCPServer<Obeys> {
    OnlyTheFirst() : PreForkingTCPServer<Obeys>(loopback(), quiet()) {}
    ~OnlyTheFirst() override { server_close(); }
    void worker_started() override {
      if (++*starts > 1) throw std::runtime_error("only one can");
    }
  };
  OnlyTheFirst server;
  server.processes = 2;
  server.max_early_deaths = 2;
  std::exception_ptr error;
  std::thread thread([&] { error = detail::error_of([&] { server.serve_forever(); }); });
  Visit visit(server.server_address());
  thread.join();
  CHECK(error);
  CHECK(visit.ask("still here\n") == "still here\n");
  visit.client.shutdown_write();
  CHECK(visit.client.read_all().empty());
}

/// Clients that come, ask and go, for as long as this lives, whatever becomes of their workers.
class Load {
 public:
  explicit Load(const Address& server) {
    for (std::thread& each : threads_) each = std::thread([this, &server] { ask(server); });
  }
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;
  ~Load() {
    done_ = true;
    for (std::thread& each : threads_) each.join();
  }
  int answered() const { return answered_; }

 private:
  void ask(const Address& server) {
    while (!done_) {
      try {
        Visit visit(server);
        answered_ += visit.ask("alive\n") == "alive\n";
      } catch (const std::exception&) {  // its worker was killed, or is not there yet
      }
    }
  }

  std::atomic<bool> done_ = false;
  std::atomic<int> answered_ = 0;
  std::array<std::thread, 2> threads_;
};

/// Pre-forks servers of that kind, and watches the workers.
template <class Server>
struct UnderWatch : PreForkingMixIn<Server> {
  explicit UnderWatch(Lines& lines) : PreForkingMixIn<Server>(loopback(), {.log = lines.sink()}) {
    this->processes = 2;
    this->worker_timeout = 400ms;
  }
  ~UnderWatch() override { this->server_close(); }
  void worker_started() override { std::signal(SIGABRT, SIG_DFL); }  // not what doctest makes of it

  bool replaces(pid_t worker) const {
    return eventually([&] {
      const std::set<pid_t> workers = this->active_children();
      return workers.size() == 2 && !workers.contains(worker);
    });
  }
};

TEST_CASE_TEMPLATE("a worker that was stopped is replaced within its worker_timeout", Server, TCPServer<Obeys>,
                   ThreadingTCPServer<Obeys>, FiberTCPServer<Obeys>) {
  Lines lines;
  UnderWatch<Server> server(lines);
  const ServerThread background(server);
  const Visit visit(server.server_address());
  std::optional<Load> load;
  SUBCASE("idle") {}
  SUBCASE("under load") {
    load.emplace(server.server_address());
    CHECK(eventually([&] { return load->answered() > 100; }));
  }
  ::kill(visit.worker, SIGSTOP);
  CHECK(server.replaces(visit.worker));
  load.reset();
  CHECK(lines.mention("worker " + std::to_string(visit.worker) + " gave no sign of life within its worker_timeout"));
}

TEST_CASE_TEMPLATE("a worker whose handler computes without end is replaced, where that keeps others", Server,
                   TCPServer<Obeys>, FiberTCPServer<Obeys>) {
  Lines lines;
  UnderWatch<Server> server(lines);
  if constexpr (requires { server.stall_threshold; }) server.stall_threshold = {};
  const ServerThread background(server);
  Visit visit(server.server_address());
  visit.client.send("compute\n");
  CHECK(server.replaces(visit.worker));
}

TEST_CASE_TEMPLATE("a worker that is healthy, or paused for a while, is not taken for dead", Server,
                   ThreadingTCPServer<Obeys>, ThreadPoolTCPServer<Obeys>, FiberTCPServer<Obeys>) {
  Lines lines;
  UnderWatch<Server> server(lines);
  server.worker_timeout = 3s;
  const ServerThread background(server);
  Visit visit(server.server_address());
  const Load load(server.server_address());
  const std::set<pid_t> workers = server.active_children();
  if constexpr (!requires { server.loops; }) {
    Visit computes(server.server_address());
    computes.client.send("compute\n");
  }
  ::kill(visit.worker, SIGSTOP);
  std::this_thread::sleep_for(1s);  // a pause that is no death
  ::kill(visit.worker, SIGCONT);
  CHECK(visit.ask("alive\n") == "alive\n");
  std::this_thread::sleep_for(1500ms);
  CHECK(load.answered() > 0);
  CHECK(server.active_children() == workers);
  server.kill_requests();
}

TEST_CASE("a worker that takes too long to start is killed and replaced") {
  static const Shared<std::atomic<int>> starts;
  struct SlowAtFirst : PreForkingTCPServer<Obeys> {
    explicit SlowAtFirst(Lines& lines) : PreForkingTCPServer<Obeys>(loopback(), {.log = lines.sink()}) {}
    ~SlowAtFirst() override { server_close(); }
    void worker_started() override {
      if (++*starts == 1) ::pause();
    }
  };
  Lines lines;
  SlowAtFirst server(lines);
  server.processes = 1;
  server.boot_timeout = 500ms;
  ServerThread background(server);
  CHECK(Visit(server.server_address()).ask("hello\n") == "hello\n");
  CHECK(*starts == 2);
  CHECK(lines.mention("boot_timeout"));
}

TEST_CASE("worker_started is called once in each worker, before it serves, and not in the parent") {
  static const Shared<std::atomic<int>> starts;
  struct Prepared : PreForkingTCPServer<Obeys> {
    Prepared() : PreForkingTCPServer<Obeys>(loopback()) {}
    ~Prepared() override { server_close(); }
    void worker_started() override {
      ++*starts;
      started_in = ::getpid();
    }
    bool verify_request(Connection&, const Address&) override { return started_in == ::getpid(); }
    pid_t started_in = 0;
  };
  Prepared server;
  server.processes = 2;
  const ServerThread background(server);
  Visit first(server.server_address());
  Visit second(server.server_address());
  CHECK(first.worker != second.worker);
  CHECK(*starts == 2);
  CHECK(server.started_in == 0);
}

template <class Server>
void check_turnover() {
  Lines lines;
  Server server(loopback(), {.log = lines.sink()});
  server.processes = 1;
  server.max_requests_per_child = 3;
  const ServerThread background(server);
  std::vector<pid_t> workers;
  for (int i = 0; i < 9; ++i) workers.push_back(Visit(server.server_address()).worker);
  for (std::size_t i = 0; i < workers.size(); ++i) CHECK(workers[i] == workers[i - i % 3]);
  CHECK(std::set(workers.begin(), workers.end()).size() == 3);
  CHECK(server.stats().accepted == 9);
  CHECK(lines.all().empty());
}

TEST_CASE("max_requests_per_child is exact, and being replaced for it is no failure") {
  check_turnover<PreForkingTCPServer<Obeys>>();
  check_turnover<PreForkingMixIn<ThreadingMixIn<TCPServer<Obeys>>>>();
  check_turnover<PreForkingMixIn<ThreadPoolMixIn<TCPServer<Obeys>>>>();
}

TEST_CASE("SIGTERM makes a worker finish and end, and it is replaced") {
  Lines lines;
  PreForkingMixIn<ThreadingMixIn<TCPServer<Obeys>>> server(loopback(), {.log = lines.sink()});
  server.processes = 1;
  const ServerThread background(server);
  Visit visit(server.server_address());
  ::kill(visit.worker, SIGTERM);
  ::kill(visit.worker, SIGTERM);
  CHECK(visit.ask("finish\n") == "finish\n");
  visit.client.shutdown_write();
  CHECK(visit.client.read_all().empty());
  Visit next(server.server_address());
  CHECK(next.worker != visit.worker);
  CHECK(lines.all().empty());
}

TEST_CASE(
    "a worker ignores SIGINT if the parent handles it, and is stopped by SIGTERM if the parent ignores or blocks it") {
  struct sigaction handled{};
  handled.sa_handler = [](int) {};
  struct sigaction interrupt_before{};
  ::sigaction(SIGINT, &handled, &interrupt_before);
  const auto terminate_before = ::signal(SIGTERM, SIG_IGN);
  sigset_t term;
  sigset_t mask_before;
  sigemptyset(&term);
  sigaddset(&term, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &term, &mask_before);
  {
    PreForkingTCPServer<Obeys> server(loopback());
    server.processes = 1;
    const ServerThread background(server);
    pid_t worker = 0;
    {
      Visit visit(server.server_address());
      worker = visit.worker;
      ::kill(worker, SIGINT);
      CHECK(visit.ask("still here\n") == "still here\n");
      ::kill(worker, SIGTERM);
    }
    CHECK(Visit(server.server_address()).worker != worker);
  }
  ::pthread_sigmask(SIG_SETMASK, &mask_before, nullptr);
  ::signal(SIGTERM, terminate_before);
  ::sigaction(SIGINT, &interrupt_before, nullptr);
}

TEST_CASE("workers end when their parent is killed, whatever they do") {
  static const Shared<std::array<std::atomic<pid_t>, 4>> workers;
  static const Shared<std::atomic<std::size_t>> started;
  struct Noted : PreForkingUnixStreamServer<Obeys> {
    explicit Noted(const std::string& path) : PreForkingUnixStreamServer<Obeys>(Address(path)) { processes = 2; }
    ~Noted() override { server_close(); }
    void worker_started() override { (*workers)[(*started)++] = ::getpid(); }
  };
  REQUIRE(::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0);  // orphans become this program's children
  const TemporaryFolder folder;
  const pid_t parent = ::fork();
  if (parent == 0) {
    ::alarm(static_cast<unsigned>(patience.count()));  // the subject must end by itself whatever becomes of this test
    // Workers of the second server have copies of all that the parent had for the first.
    Noted first(folder / "first");
    ServerThread background(first);
    eventually([] { return *started == 2; });
    Noted second(folder / "second");
    second.serve_forever();
    ::_exit(0);
  }
  REQUIRE(eventually([&] { return *started == 4; }));
  Visit computing(Address(folder / "first"));
  Visit waiting(Address(folder / "second"));
  computing.client.send("compute\n");
  ::kill(parent, SIGKILL);
  CHECK(::waitpid(parent, nullptr, 0) == parent);
  for (const auto& worker : *workers) {
    int status = 0;
    CHECK(eventually([&] { return ::waitpid(worker, &status, WNOHANG) == worker; }));
    CHECK(WIFEXITED(status));
  }
  ::prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
}

TEST_CASE("after shutdown workers finish what they serve, and end") {
  PreForkingTCPServer<Obeys> server(loopback());
  server.processes = 2;
  const ServerThread background(server);
  Visit visit(server.server_address());
  const std::set<pid_t> workers = server.active_children();
  server.shutdown();
  CHECK(server.state() == ServerState::draining);
  CHECK(visit.ask("still here\n") == "still here\n");
  visit.client.shutdown_write();
  CHECK(visit.client.read_all().empty());
  for (const pid_t worker : workers) CHECK(eventually([&] { return has_ended(worker); }));
  CHECK(eventually([&] { return server.state() == ServerState::stopped; }));
}

TEST_CASE("a drain counts the requests of all workers that it aborts, and their handlers see an ordinary error") {
  static const Shared<std::atomic<int>> ended;
  struct Waits : StreamRequestHandler {
    void handle() override {
      wfile.write("here\n");
      rfile.readline();
      ++*ended;
    }
  };
  PreForkingMixIn<ThreadingMixIn<TCPServer<Waits>>> server(loopback());
  server.processes = 2;
  const ServerThread background(server);
  std::vector<StreamClient> clients;
  for (int i = 0; i < 5; ++i) {
    clients.emplace_back(server.server_address());
    CHECK(clients.back().read_line() == "here\n");
  }
  const DrainResult result = server.drain(10ms);
  CHECK(result.aborted == 5);
  CHECK(result.remaining == 0);
  CHECK(*ended == 5);
  CHECK(server.active_children().empty());
}

TEST_CASE("a worker whose handler cannot be aborted is killed in the end") {
  PreForkingTCPServer<Obeys> server(loopback());
  server.processes = 2;
  const ServerThread background(server);
  Visit visit(server.server_address());
  visit.client.send("compute\n");
  const DrainResult result = server.drain(10ms);
  CHECK(result.aborted == 1);
  CHECK(result.remaining == 0);
  CHECK(server.requests_running() == 0);
  CHECK(server.active_children().empty());
}

/// Clients who connect and say all that they have to say.
std::vector<StreamClient> waiting_clients(const Address& server) {
  std::vector<StreamClient> clients;
  for (int i = 0; i < 10; ++i) {
    clients.emplace_back(server);
    clients.back().send("hello\n");
    clients.back().shutdown_write();
  }
  return clients;
}

void check_served_elsewhere(std::vector<StreamClient>& clients) {
  for (StreamClient& client : clients) {
    const std::string answer = client.read_all();
    CHECK(answer.ends_with("\nhello\n"));
    CHECK(std::stoi(answer) != ::getpid());
  }
}

TEST_CASE("drain has the backlog taken by workers") {
  PreForkingTCPServer<Obeys> server(loopback());
  server.processes = 1;
  std::optional<ServerThread> background;
  const auto check_drained_while_busy = [&](const std::function<void(pid_t)>& happens_to) {
    background.emplace(server);
    Visit visit(server.server_address());
    std::vector<StreamClient> clients = waiting_clients(server.server_address());
    happens_to(visit.worker);
    std::thread drainer([&] { CHECK(server.drain(patience).aborted == 0); });
    CHECK(eventually([&] { return server.state() == ServerState::draining; }));
    visit.client.shutdown_write();
    check_served_elsewhere(clients);
    drainer.join();
  };
  SUBCASE("that are busy") {
    check_drained_while_busy([](pid_t) {});
  }
  SUBCASE("although all have been told to end by SIGTERM") {
    check_drained_while_busy([](pid_t worker) { ::kill(worker, SIGTERM); });
  }
  SUBCASE("after shutdown") {
    background.emplace(server);
    Visit visit(server.server_address());
    std::vector<StreamClient> clients = waiting_clients(server.server_address());
    server.shutdown();
    visit.client.shutdown_write();
    CHECK(server.drain(patience).aborted == 0);
    check_served_elsewhere(clients);
  }
  SUBCASE("that have never served") {
    std::vector<StreamClient> clients = waiting_clients(server.server_address());
    CHECK(server.drain(patience).aborted == 0);
    check_served_elsewhere(clients);
  }
  CHECK(server.stats().accepted >= 10);
}

TEST_CASE("handle_request serves in the calling process, and workers start without its threads and requests") {
  PreForkingMixIn<ThreadPoolMixIn<TCPServer<Obeys>>> pool(loopback());
  PreForkingMixIn<ThreadingMixIn<TCPServer<Obeys>>> threads(loopback());
  const auto check = [](auto& server) {
    server.processes = 1;
    StreamClient own(server.server_address());
    server.handle_request();
    CHECK(own.read_line() == std::to_string(::getpid()) + "\n");
    // From here on its thread only waits: forked while it allocates, a worker could inherit a lock of
    // AddressSanitizer's that nobody will release.
    own.send("hello\n");
    CHECK(own.read_line() == "hello\n");
    const ServerThread background(server);
    CHECK(Visit(server.server_address()).worker != ::getpid());
    CHECK(Visit(server.server_address()).ask("hello\n") == "hello\n");
    CHECK(eventually([&] { return server.requests_running() == 1; }));
    CHECK(server.stats().accepted == 3);
    // The worker has no copy of this connection, so its end is seen at once.
    own.shutdown_write();
    CHECK(own.read_all().empty());
  };
  check(pool);
  check(threads);
}

TEST_CASE("notify_fork is called around the fork of each worker") {
  static const Shared<std::array<std::atomic<int>, 3>> calls;
  struct Notified : PreForkingTCPServer<Obeys> {
    Notified() : PreForkingTCPServer<Obeys>(loopback()) { processes = 2; }
    ~Notified() override { server_close(); }
    void notify_fork(execution_context::fork_event event) override { ++(*calls)[event]; }
  };
  Notified server;
  ServerThread background(server);
  CHECK(Visit(server.server_address()).ask("hello\n") == "hello\n");
  background.stop();
  CHECK((*calls)[execution_context::fork_prepare] == 2);
  CHECK((*calls)[execution_context::fork_parent] == 2);
  CHECK((*calls)[execution_context::fork_child] == 2);
}

TEST_CASE("a Unix path stays when workers come and go, and the parent removes it") {
  const TemporaryFolder folder;
  const std::string path = folder / "socket";
  PreForkingUnixStreamServer<Obeys> server{Address(path)};
  server.processes = 1;
  server.max_requests_per_child = 1;
  ServerThread background(server);
  const pid_t first = Visit(server.server_address()).worker;
  CHECK(Visit(server.server_address()).worker != first);
  CHECK(std::filesystem::is_socket(path));
  background.stop();
  CHECK_FALSE(std::filesystem::exists(path));
}

TEST_CASE("descriptors do not pile up, in workers that follow one another or in the parent") {
  PreForkingTCPServer<Obeys> server(loopback());
  server.processes = 2;
  server.max_requests_per_child = 1;
  const ServerThread background(server);
  const auto in_worker = [&] { return std::stoul(Visit(server.server_address()).ask("descriptors\n")); };
  const auto in_parent = [&] { return server.active_children().size() == 2 ? open_descriptors().size() : SIZE_MAX; };
  const std::size_t first_in_worker = in_worker();
  CHECK(eventually([&] { return in_parent() != SIZE_MAX; }));
  const std::size_t first_in_parent = open_descriptors().size();
  std::size_t last_in_worker = 0;
  for (int i = 0; i < 10; ++i) last_in_worker = in_worker();
  // A worker may have been forked while this program had a client's socket, or the parent both ends of a channel.
  CHECK(last_in_worker <= first_in_worker + 2);
  CHECK(eventually([&] { return in_parent() <= first_in_parent; }));
}

TEST_CASE("without block_on_close, workers that are left are killed when the server is destroyed") {
  pid_t worker = 0;
  std::optional<StreamClient> client;
  {
    PreForkingTCPServer<Obeys> server(loopback());
    server.processes = 1;
    server.block_on_close = false;
    const ServerThread background(server);
    Visit visit(server.server_address());
    worker = visit.worker;
    client.emplace(std::move(visit.client));
  }
  CHECK(client->read_all().empty());
  CHECK(::waitpid(worker, nullptr, 0) == -1);
}

TEST_CASE("knobs that make no sense are refused before serving") {
  const auto refuses = [](const char* knob, auto set) {
    PreForkingTCPServer<Obeys> server(loopback());
    set(server);
    CHECK_THROWS_WITH_AS(server.serve_forever(), doctest::Contains(knob), std::invalid_argument);
  };
  refuses("processes", [](auto& server) { server.processes = 0; });
  refuses("max_early_deaths", [](auto& server) { server.max_early_deaths = 0; });
  refuses("boot_timeout", [](auto& server) { server.boot_timeout = 0s; });
  refuses("worker_timeout", [](auto& server) { server.worker_timeout = 0s; });
}

TEST_CASE("a worker that fails may be asked for its statistics by the log") {
  struct Fails : PreForkingTCPServer<Obeys> {
    explicit Fails(LogSink log) : PreForkingTCPServer<Obeys>(loopback(), {.log = std::move(log)}) {}
    ~Fails() override { server_close(); }
    void worker_started() override { throw std::runtime_error("no database"); }
  };
  const Shared<std::atomic<int>> asked;
  Fails* served = nullptr;
  Fails server([&](LogLevel, std::string_view line) {
    if (line.find("a worker has failed") == std::string_view::npos) return;
    CHECK(served->stats().accepted == 0);
    ++*asked;
  });
  served = &server;
  server.processes = 1;
  server.max_early_deaths = 2;
  CHECK_THROWS(server.serve_forever());
  CHECK(*asked == 2);
}

TEST_CASE("max_requests_per_child may be as large as it can be, also for the worker that takes another's slot") {
  Lines lines;
  PreForkingTCPServer<Obeys> server(loopback(), {.log = lines.sink()});
  server.processes = 1;
  server.max_requests_per_child = std::numeric_limits<std::size_t>::max();
  ServerThread background(server);
  for (int i = 0; i < 2; ++i) {
    Visit visit(server.server_address());
    ::kill(visit.worker, SIGKILL);
    CHECK(visit.client.read_all().empty());
  }
  CHECK(Visit(server.server_address()).ask("x\n") == "x\n");
  background.stop();
  CHECK_FALSE(lines.mention("before it had served"));
}

TEST_CASE("server_close of the parent waits for workers, and not for daemon threads of its own") {
  PreForkingMixIn<ThreadingTCPServer<Obeys>> server(loopback(), quiet());
  server.daemon_threads = true;
  StreamClient client(server.server_address());
  server.handle_request();
  CHECK(std::stoi(client.read_line()) == ::getpid());
  server.server_close();
  CHECK(server.requests_running() == 1);
}

TEST_CASE_TEMPLATE("without block_on_close, workers are killed whatever mixin is within", Server,
                   PreForkingMixIn<ThreadingTCPServer<Obeys>>, PreForkingMixIn<FiberTCPServer<Obeys>>) {
  pid_t worker = 0;
  {
    Server server(loopback(), quiet());
    server.processes = 1;
    server.block_on_close = false;
    std::thread serving([&] { server.serve_forever(); });
    Visit visit(server.server_address());
    worker = visit.worker;
    visit.client.send("compute\n");
    server.shutdown();
    serving.join();
  }
  CHECK(::kill(worker, 0) == -1);
}

}  // namespace
