# Helpers for the targets that are sockserv's own.

# Warnings for code that we maintain; never passed on to those who use the library.
function(sockserv_own_target target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wconversion -Wshadow
    $<$<BOOL:${SOCKSERV_WARNINGS_AS_ERRORS}>:-Werror>)
endfunction()

# A library that is installed: sockserv_library(TARGET)
function(sockserv_library target)
  sockserv_own_target(${target})
  # Symbols are bound when the program is loaded, once: a forked child would have to bind each one anew.
  target_compile_options(${target} PRIVATE -fno-plt)
  # What is not SOCKSERV_EXPORT is hidden in a shared library.
  set_target_properties(${target} PROPERTIES CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
endfunction()

# A program that lands in bin/: sockserv_program(NAME SOURCE...)
function(sockserv_program name)
  add_executable(${name} ${ARGN})
  target_link_libraries(${name} PRIVATE sockserv::sockserv)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
  sockserv_own_target(${name})
endfunction()
