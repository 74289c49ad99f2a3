include(CMakeFindDependencyMacro)
find_dependency(Boost 1.81 CONFIG COMPONENTS context thread)
find_dependency(Threads)
include(${CMAKE_CURRENT_LIST_DIR}/sockservTargets.cmake)
