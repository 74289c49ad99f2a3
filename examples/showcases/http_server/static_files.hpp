#pragma once

/// Files of a folder: from a path in a URL to an open file, a listing, or the place where it really is.

#include <variant>

#include "selection.hpp"
#include "support/folder.hpp"

namespace web {

struct OpenFile {
  example::Descriptor descriptor;
  FileVersion version;
  std::string_view content_type;
};
/// A page that lists a folder without an index.html.
struct FolderPage {
  std::string html;
};
/// A folder was asked for without a slash behind it, by which links in its pages would lead elsewhere.
struct Redirect {
  std::string path;
};
using Found = std::variant<OpenFile, FolderPage, Redirect>;

/// Returns the folder that has this one's path by now.
/// @throws Refusal (503) while there is none: it is being replaced.
example::Folder reopened(const example::Folder& folder);

/// What has that path (decoded, as `Target` has it). Only regular files and folders are opened, and only what is in
/// the folder. An index.html that is no regular file is none.
/// @throws Refusal
Found find_file(const example::Folder& folder, const std::string& path);

}  // namespace web
