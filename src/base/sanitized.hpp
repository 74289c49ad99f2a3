#pragma once

/// Which sanitizer the program is built with, if any: SOCKSERV_ASAN or SOCKSERV_TSAN.

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define SOCKSERV_ASAN 1
#elif __has_feature(thread_sanitizer)
#define SOCKSERV_TSAN 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define SOCKSERV_ASAN 1
#elif defined(__SANITIZE_THREAD__)
#define SOCKSERV_TSAN 1
#endif
