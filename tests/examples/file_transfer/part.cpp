#include <11_file_transfer/part.hpp>  // first, to test that it is self-contained

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

namespace {

int error_for_files = 0;
int error_for_folders = 0;

}  // namespace

/// In the place of the C library's: fails as the tests want it.
// NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): the name in the system header is reserved
extern "C" int fsync(int descriptor) {
  struct stat status{};
  if (::fstat(descriptor, &status) != 0) return -1;
  errno = S_ISDIR(status.st_mode) ? error_for_folders : error_for_files;
  return errno == 0 ? 0 : -1;
}

namespace {

namespace fs = std::filesystem;
using transfer::Failure;
using transfer::Folder;
using transfer::Part;

std::string sha256(std::string_view bytes) {
  transfer::Sha256 hash;
  hash.add(bytes);
  return hash.hex();
}

/// A folder for one test, and what fsync says meanwhile.
struct Scene {
  Scene() {
    std::string name = fs::temp_directory_path() / "sockserv-part.XXXXXX";
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = name;
    folder.emplace(path);
  }
  ~Scene() {
    error_for_files = error_for_folders = 0;
    fs::remove_all(path);
  }

  Part part() const { return {*folder, ".file.part"}; }
  std::set<std::string> names() const {
    std::set<std::string> found;
    for (const auto& entry : fs::directory_iterator(path)) found.insert(entry.path().filename());
    return found;
  }

  fs::path path;
  std::optional<Folder> folder;
};

using Names = std::set<std::string>;

TEST_CASE("a file system that does not synchronize folders is no failure, one that fails to is") {
  const Scene scene;
  for (const auto& [error, fails] : {std::pair(0, false), {EINVAL, false}, {EIO, true}, {ENOSPC, true}}) {
    CAPTURE(error);
    Part part = scene.part();
    part.append("content");
    error_for_folders = error;
    if (fails) {
      CHECK_THROWS_WITH_AS(part.complete("file", sha256("content")), doctest::Contains("the name of file"), Failure);
    } else {
      part.complete("file", sha256("content"));
    }
    error_for_folders = 0;
    CHECK(scene.names() == Names{"file"});
    fs::remove(scene.path / "file");
  }
}

TEST_CASE("a part that could not be written to the disk is not kept, because the kernel takes it for written") {
  const Scene scene;
  for (const int error : {EIO, EINVAL}) {
    Part part = scene.part();
    part.append("content");
    error_for_files = error;
    CHECK_THROWS_WITH_AS(part.complete("file", sha256("content")), doctest::Contains("cannot write to the disk"),
                         Failure);
    error_for_files = 0;
    CHECK(scene.names() == Names{});
  }
}

TEST_CASE("a part that is removed gives up its room at once, though its file is still open") {
  const Scene scene;
  Part part = scene.part();
  part.append("content");
  struct stat status{};
  const int same_file = ::open((scene.path / ".file.part").c_str(), O_RDONLY | O_CLOEXEC);
  REQUIRE(::fstat(same_file, &status) == 0);
  CHECK(status.st_size == 7);
  CHECK_THROWS_AS(part.complete("file", sha256("something else")), Failure);
  REQUIRE(::fstat(same_file, &status) == 0);
  CHECK(status.st_size == 0);
  ::close(same_file);
}

TEST_CASE("a part stays if it holds a byte") {
  const Scene scene;
  {
    const Part empty = scene.part();
  }
  CHECK(scene.names() == Names{});
  {
    Part part = scene.part();
    Part moved = std::move(part);
    moved.append("x");
  }
  CHECK(scene.names() == Names{".file.part"});
  {
    Part part = scene.part();
    CHECK(part.size() == 1);
    part.go_on_from(0);
  }
  CHECK(scene.names() == Names{});
}

TEST_CASE("a part that has been given its name, or removed, does not remove another of its old name") {
  const Scene scene;
  for (const bool right : {true, false}) {
    Part first = scene.part();
    if (right) {
      first.complete("file", sha256(""));
    } else {
      CHECK_THROWS_AS(first.complete("file", sha256("other")), Failure);
    }
    Part second = scene.part();
    {
      const Part ended = std::move(first);
    }
    CHECK(scene.names().count(".file.part") == 1);
  }
}

TEST_CASE("names are UTF-8, so that JSON keeps them apart") {
  CHECK_NOTHROW(transfer::check_name("w\u00f6rld \U0001f600"));
  for (const char* const name : {"\xff", "\xfe", "a\xc3", "\xed\xa0\x80"}) {
    CHECK_THROWS_WITH_AS(transfer::check_name(name), doctest::Contains("is not UTF-8"), Failure);
  }
}

}  // namespace
