#pragma once

/// `SOCKSERV_EXPORT` marks what programs may use of a shared sockserv (BUILD_SHARED_LIBS). Everything else that the
/// library compiles is hidden in it.

#define SOCKSERV_EXPORT __attribute__((visibility("default")))
