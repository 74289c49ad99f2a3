# What `cmake --install` puts where: the library, its headers, and what find_package and pkg-config need to find them.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/sockserv)

# Before 1.0 a minor version may break what was built against the one before.
set_target_properties(sockserv PROPERTIES
  VERSION ${PROJECT_VERSION}
  SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/sockservConfigVersion.cmake COMPATIBILITY SameMinorVersion)

install(TARGETS sockserv EXPORT sockserv INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(EXPORT sockserv NAMESPACE sockserv:: FILE sockservTargets.cmake DESTINATION ${package_dir})
install(FILES cmake/sockservConfig.cmake ${PROJECT_BINARY_DIR}/sockservConfigVersion.cmake DESTINATION ${package_dir})

# pkg-config has no names for Boost, so it is given the libraries themselves: to everyone who links the static library,
# and only to those who ask for --static if there is a shared one, which brings them along.
if(BUILD_SHARED_LIBS)
  set(libs_private "-lboost_thread -lboost_context -lcrypto -pthread")
else()
  set(libs "-lboost_thread -lboost_context -lcrypto -pthread")
endif()
# Relative, so that the installed tree can be moved.
file(RELATIVE_PATH prefix_from_pc ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
configure_file(cmake/sockserv.pc.in ${PROJECT_BINARY_DIR}/sockserv.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/sockserv.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
