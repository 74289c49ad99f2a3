/// What happens when a worker takes more memory than its control group has.

#include <doctest/doctest.h>
#include <unistd.h>

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <sockserv.hpp>
#include <string>
#include <vector>

#include "support/support.hpp"

namespace {

using namespace sockserv;
using namespace support;

/// A control group with 16 MiB of memory, of either version.
class MemoryGroup {
 public:
  MemoryGroup() {
    const std::string name = "/sockserv-test-" + std::to_string(::getpid());
    const std::string limit = std::to_string(16 << 20);
    if (make("/sys/fs/cgroup/memory" + name)) {
      limited_ = write("memory.limit_in_bytes", limit);
      write("memory.memsw.limit_in_bytes", limit);  // where swap is counted
    } else if (make("/sys/fs/cgroup" + name)) {
      limited_ = write("memory.max", limit);
      write("memory.swap.max", "0");
    }
  }
  MemoryGroup(const MemoryGroup&) = delete;
  MemoryGroup& operator=(const MemoryGroup&) = delete;
  ~MemoryGroup() {
    if (!folder_.empty()) CHECK(eventually([this] { return ::rmdir(folder_.c_str()) == 0; }));
  }

  bool limited() const { return limited_; }
  bool enter() const { return write("cgroup.procs", std::to_string(::getpid())); }

 private:
  bool make(const std::string& folder) {
    std::error_code error;
    if (std::filesystem::create_directory(folder, error)) folder_ = folder;
    return !folder_.empty();
  }
  bool write(const std::string& file, const std::string& value) const {
    if (!std::filesystem::exists(folder_ + "/" + file)) return false;
    return static_cast<bool>(std::ofstream(folder_ + "/" + file) << value << std::flush);
  }

  std::string folder_;
  bool limited_ = false;
};

const MemoryGroup* group = nullptr;

struct TakesMemory : StreamRequestHandler {
  void handle() override {
    for (const std::string_view line : rfile) {
      if (line == "take\n" && group->enter()) std::vector<char>(256 << 20, 'x').swap(taken);
      wfile.write(std::to_string(::getpid()) + "\n");
    }
  }
  std::vector<char> taken;
};

TEST_CASE("a worker whose control group runs out of memory is killed and replaced, and others serve on") {
  const MemoryGroup memory;
  group = &memory;
  if (!memory.limited()) return skip("this user may not make a control group with a limit of memory");
  Lines lines;
  PreForkingTCPServer<TakesMemory> server(loopback(), {.log = lines.sink()});
  server.processes = 2;
  const ServerThread background(server);
  const auto ask = [](StreamClient& client, std::string_view what) {
    client.send(what);
    return client.read_line();
  };
  StreamClient bystander(server.server_address());
  const std::string other = ask(bystander, "who?\n");
  StreamClient victim(server.server_address());
  const std::string killed = ask(victim, "who?\n");
  CHECK(ask(victim, "take\n").empty());
  CHECK(eventually([&] { return lines.mention("killed by signal 9 (Killed); another one takes its place"); }));
  CHECK(ask(bystander, "who?\n") == other);
  StreamClient next(server.server_address());
  const std::string replacement = ask(next, "who?\n");
  CHECK(replacement != killed);
  CHECK(replacement != other);
}

}  // namespace
