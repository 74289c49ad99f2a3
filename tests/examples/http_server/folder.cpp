/// Nothing leads out of a Folder, in either way of looking paths up.

#include "support/folder.hpp"  // first, to test that it is self-contained

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
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
                                     "sub/deep/../../file", "sub/.."}) {
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

TEST_CASE("folder: what is neither a file nor a folder is not opened") {
  const Place place;
  const int writer = ::open((place.root + "/fifo").c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
  const sockserv::detail::Descriptor owner(writer);
  REQUIRE(::write(writer, "data", 4) == 4);
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockserv::detail::Descriptor socket_owner(socket);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = place.root + "/socket";
  REQUIRE(path.copy(&address.sun_path[0], sizeof address.sun_path - 1) == path.size());
  REQUIRE(::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  for (const LookUp look_up : {LookUp::by_kernel, LookUp::by_component}) {
    const Folder folder(place.root, Links::refused, look_up);
    CHECK(opened(folder, "fifo") == ENXIO);
    CHECK(opened(folder, "socket") == ENXIO);
  }
  int unread = 0;
  CHECK(::ioctl(writer, FIONREAD, &unread) == 0);
  CHECK(unread == 4);
  const Folder devices("/dev");
  CHECK(opened(devices, "null") == ENXIO);
}

TEST_CASE("folder: a file that others have a lease of is not waited for, until they give it up") {
  const Place place;
  const std::string path = place.root + "/file";
  ::signal(SIGIO, SIG_IGN);  // by which the kernel asks for the lease
  const sockserv::detail::Descriptor holder(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  for (const LookUp look_up : {LookUp::by_kernel, LookUp::by_component}) {
    const Folder folder(place.root, Links::refused, look_up);
    REQUIRE(::fcntl(holder.get(), F_SETLEASE, F_WRLCK) == 0);
    CHECK(opened(folder, "file") == EAGAIN);
    CHECK(::fcntl(holder.get(), F_SETLEASE, F_UNLCK) == 0);
    CHECK(opened(folder, "file") == 0);
  }
  ::signal(SIGIO, SIG_DFL);
}

TEST_CASE("folder: what is cached on a local disk is opened at once, and as by open()") {
  const Place place;
  const Folder folder(place.root);
  if (const auto known =
          [&] {
            sockserv::error_code error;
            return folder.open_at_once("file", error);
          }();
      !known) {
    MESSAGE("not tried: not a local disk, or Linux before 5.12");
    return;
  }
  for (const char* const path : {"", "file", "sub/file", "fifo", "to_file", "../secret", "file/x"}) {
    CAPTURE(path);
    sockserv::error_code error;
    const auto at_once = folder.open_at_once(path, error);
    if (at_once) CHECK(error.value() == opened(folder, path));
    if (at_once) CHECK((at_once->get() >= 0) == !error);
  }
}

TEST_CASE("folder: one that is reopened is what has its path by then") {
  const Place place;
  const std::string link = place.temporary / "current";
  fs::create_directory(place.temporary / "other");
  std::ofstream(place.temporary / "other/new") << "new";
  fs::create_directory_symlink("root", link);
  const Folder before(link);
  fs::remove(link);
  fs::create_directory_symlink("other", link);
  CHECK(opened(before, "file") == 0);
  const Folder after = before.reopened();
  CHECK(opened(after, "file") == ENOENT);
  CHECK(opened(after, "new") == 0);
  fs::remove(link);
  CHECK_THROWS_AS(before.reopened(), boost::system::system_error);
}

TEST_CASE("folder: one that is none is refused") {
  const Place place;
  CHECK_THROWS_WITH_AS(Folder(place.root + "/none"), doctest::Contains("none"), boost::system::system_error);
  CHECK_THROWS_AS(Folder(place.root + "/file"), boost::system::system_error);
}

}  // namespace
