/// Nothing leads out of a Folder, in either way of looking paths up.

#include "support/folder.hpp"  // first, to test that it is self-contained

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <thread>

#include "support/support.hpp"

namespace {

using example::Folder;
using Links = Folder::Links;
using LookUp = Folder::LookUp;
namespace fs = std::filesystem;

/// A folder `root` with files and links in it, and a file outside.
struct Place {
  Place() {
    fs::create_directories(root + "/sub/deep");
    for (const std::string& path : {root + "/file", root + "/sub/file", std::string(temporary / "secret")}) {
      std::ofstream(path) << path;
    }
    for (const auto& [target, name] : {std::pair{"file", "to_file"},
                                       {"sub", "to_sub"},
                                       {"../file", "sub/up"},
                                       {"../secret", "out"},
                                       {"..", "parent"},
                                       {"/etc", "absolute"},
                                       {"loop", "loop"},
                                       {"nothing", "broken"},
                                       {"sub/../file", "winding"},
                                       {"/", "slash"}}) {
      fs::create_symlink(target, root + "/" + name);
    }
    REQUIRE(::mkfifo((root + "/fifo").c_str(), 0600) == 0);
  }
  support::TemporaryFolder temporary;
  std::string root = temporary / "root";
};

/// What opening says: 0 or an error.
int opened(const Folder& folder, const std::string& path) {
  sockserv::error_code error;
  const auto file = folder.open(path, error);
  CHECK((file.get() >= 0) == !error);
  return error.value();
}

TEST_CASE("folder: what is in it is opened, what is not is not") {
  const Place place;
  for (const LookUp look_up : {LookUp::by_kernel, LookUp::by_component}) {
    for (const Links links : {Links::refused, Links::followed}) {
      CAPTURE(static_cast<bool>(look_up));
      CAPTURE(static_cast<bool>(links));
      const Folder folder(place.root, links, look_up);
      for (const char* const path : {"", ".", "file", "sub", "sub/", "sub/file", "sub//./file", "sub/deep/../file",
                                     "sub/deep/../../file", "sub/..", "fifo"}) {
        CAPTURE(path);
        CHECK(opened(folder, path) == 0);
      }
      CHECK(opened(folder, "nothing") == ENOENT);
      CHECK(opened(folder, "nothing/file") == ENOENT);
      CHECK(opened(folder, "file/") == ENOTDIR);
      CHECK(opened(folder, "file/x") == ENOTDIR);
      CHECK(opened(folder, std::string(300, 'x')) == ENAMETOOLONG);
      for (const char* const path : {"..", "../secret", "sub/../../secret", "sub/deep/../../../root/file"}) {
        CAPTURE(path);
        CHECK(opened(folder, path) == EXDEV);
      }
    }
  }
}

TEST_CASE("folder: links are refused, or followed as long as they stay in it") {
  const Place place;
  for (const LookUp look_up : {LookUp::by_kernel, LookUp::by_component}) {
    CAPTURE(static_cast<bool>(look_up));
    const Folder strict(place.root, Links::refused, look_up);
    const Folder lenient(place.root, Links::followed, look_up);
    for (const char* const path : {"to_file", "to_sub/file", "to_sub/", "sub/up", "winding", "to_sub/up"}) {
      CAPTURE(path);
      CHECK(opened(strict, path) == ELOOP);
      CHECK(opened(lenient, path) == 0);
    }
    for (const char* const path :
         {"out", "parent", "parent/secret", "absolute", "absolute/passwd", "slash", "slash/"}) {
      CAPTURE(path);
      CHECK(opened(strict, path) == ELOOP);
      CHECK(opened(lenient, path) == EXDEV);
    }
    CHECK(opened(lenient, "loop") == ELOOP);
    CHECK(opened(lenient, "broken") == ENOENT);
    CHECK(opened(strict, "broken") == ELOOP);
  }
}

TEST_CASE("folder: a folder that becomes a link while it is looked up leads nowhere else") {
  const Place place;
  fs::create_directory(place.temporary / "elsewhere");
  std::ofstream(place.temporary / "elsewhere/only_there") << "secret";
  for (const LookUp look_up : {LookUp::by_kernel, LookUp::by_component}) {
    const Folder folder(place.root, Links::refused, look_up);
    std::atomic<bool> done = false;
    std::thread exchanger([&] {
      const std::string name = place.root + "/changing";
      while (!done) {
        fs::create_directory(name);
        fs::remove(name);
        fs::create_symlink("../elsewhere", name);
        fs::remove(name);
      }
    });
    for (int i = 0; i < 2000; ++i) {
      sockserv::error_code error;
      CHECK(folder.open("changing/only_there", error).get() == -1);
    }
    done = true;
    exchanger.join();
  }
}

TEST_CASE("folder: one that is none is refused") {
  const Place place;
  CHECK_THROWS_WITH_AS(Folder(place.root + "/none"), doctest::Contains("none"), boost::system::system_error);
  CHECK_THROWS_AS(Folder(place.root + "/file"), boost::system::system_error);
}

}  // namespace
