// The version that the headers state is the one that packages state.

#include <sockserv/version.hpp>
#include <string_view>

static_assert(std::string_view(SOCKSERV_VERSION_STRING) == PACKAGE_VERSION);
static_assert(SOCKSERV_VERSION == PACKAGE_VERSION_NUMBER);
