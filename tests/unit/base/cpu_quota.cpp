#include "base/cpu_quota.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "support/support.hpp"

namespace {

using sockserv::detail::cpu_quota;

/// Control groups as files in a folder.
class Groups {
 public:
  void write(const std::string& file, const std::string& content) const {
    const std::filesystem::path path = folder_ / file;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << content << "\n";
  }
  std::optional<double> quota(std::string_view groups) const { return cpu_quota(groups, folder_ / ""); }

 private:
  support::TemporaryFolder folder_;
};

TEST_CASE("a CPU quota of version 2 is that of the group, or a smaller one around it") {
  const Groups groups;
  groups.write("cpu.max", "max 100000");
  groups.write("service/cpu.max", "400000 100000");
  groups.write("service/worker/cpu.max", "150000 100000");
  CHECK(groups.quota("0::/service/worker\n") == 1.5);
  CHECK(groups.quota("0::/service\n") == 4.0);
  CHECK(groups.quota("0::/\n") == std::nullopt);
  groups.write("service/cpu.max", "50000 100000");
  CHECK(groups.quota("0::/service/worker\n") == 0.5);
}

TEST_CASE("a CPU quota of version 1 is in the hierarchy of that controller") {
  const Groups groups;
  groups.write("cpu,cpuacct/box/cpu.cfs_quota_us", "200000");
  groups.write("cpu,cpuacct/box/cpu.cfs_period_us", "100000");
  CHECK(groups.quota("3:cpuset:/box\n2:cpu,cpuacct:/box\n0::/\n") == 2.0);
  groups.write("cpu,cpuacct/box/cpu.cfs_quota_us", "-1");
  CHECK(groups.quota("2:cpu,cpuacct:/box\n") == std::nullopt);
}

TEST_CASE("a group that cannot be seen from within a container leaves those that can") {
  const Groups groups;
  groups.write("cpu.max", "300000 100000");
  CHECK(groups.quota("0::/docker/0123abcd\n") == 3.0);
  CHECK(groups.quota("") == std::nullopt);
  CHECK(groups.quota("nonsense") == std::nullopt);
}

}  // namespace
