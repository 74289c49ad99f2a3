# What `cmake --install` puts where: the library, its components, its headers, and what find_package and pkg-config need
# to find them.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/sockserv)
# Relative, so that the installed tree can be moved.
file(RELATIVE_PATH prefix_from_pc ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})

# Installs TARGET as sockserv::EXPORT_NAME, with the file of its targets and its file for pkg-config, PC_NAME.pc:
# sockserv_install(TARGET EXPORT_NAME PC_NAME THIRD_PARTY_LIBRARY...)
function(sockserv_install target export_name pc_name)
  # Before 1.0 a minor version may break what was built against the one before.
  set_target_properties(${target} PROPERTIES
    EXPORT_NAME ${export_name}
    VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
  install(TARGETS ${target} EXPORT ${target} INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
  install(EXPORT ${target} NAMESPACE sockserv:: FILE ${target}Targets.cmake DESTINATION ${package_dir})

  # pkg-config has no names for Boost, so it is given the libraries themselves: always for the static library. For a
  # shared one, which loads them itself, only with --static.
  list(JOIN ARGN " " libraries)
  if(BUILD_SHARED_LIBS)
    set(libs_private ${libraries})
  else()
    set(libs ${libraries})
  endif()
  configure_file(cmake/${pc_name}.pc.in ${PROJECT_BINARY_DIR}/${pc_name}.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/${pc_name}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endfunction()

sockserv_install(sockserv sockserv sockserv -lboost_thread -lboost_context -pthread)
if(SOCKSERV_AUTH)
  sockserv_install(sockserv_auth auth sockserv-auth -lcrypto)
endif()

write_basic_package_version_file(${PROJECT_BINARY_DIR}/sockservConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(DIRECTORY include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES cmake/sockservConfig.cmake ${PROJECT_BINARY_DIR}/sockservConfigVersion.cmake DESTINATION ${package_dir})
