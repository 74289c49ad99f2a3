#include "thread_ending.hpp"

#include <sockserv/error.hpp>
#include <utility>

namespace sockserv::inline abi_0::detail {

/// Whose value in each thread is the object that was registered last.
pthread_key_t ThreadEnding::key() {
  static const pthread_key_t made = [] {
    pthread_key_t fresh{};
    const int error = ::pthread_key_create(&fresh, [](void* last) { call_all(static_cast<ThreadEnding*>(last)); });
    if (error != 0) throw_error({error, boost::system::system_category()}, "pthread_key_create");
    return fresh;
  }();
  return made;
}

bool ThreadEnding::register_here() noexcept try {
  earlier_ = static_cast<ThreadEnding*>(::pthread_getspecific(key()));
  return ::pthread_setspecific(key(), this) == 0;
} catch (const boost::system::system_error&) {  // no key is left
  return false;
}

void ThreadEnding::call_all(ThreadEnding* last) noexcept {
  while (last) std::exchange(last, last->earlier_)->at_end();
}

}  // namespace sockserv::inline abi_0::detail
