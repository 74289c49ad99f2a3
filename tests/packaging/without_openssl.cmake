# Configures the project in SOURCE where there is no OpenSSL: without its component `auth` it needs none, and with it says
# what to do. cmake -DSOURCE=... -DBINARY=... -DGENERATOR=... -DCOMPILER=... -P without_openssl.cmake

# Sets `output` and `result` to what configuring gives: configure(CMAKE_OPTION...)
function(configure)
  file(REMOVE_RECURSE ${BINARY})
  execute_process(
    COMMAND ${CMAKE_COMMAND} -S ${SOURCE} -B ${BINARY} -G ${GENERATOR} -DCMAKE_CXX_COMPILER=${COMPILER}
      -DCMAKE_DISABLE_FIND_PACKAGE_OpenSSL=ON ${ARGN}
    RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  set(result ${result} PARENT_SCOPE)
  string(REGEX REPLACE "[ \n]+" " " output "${output}")  # CMake breaks lines
  set(output "${output}" PARENT_SCOPE)
endfunction()

configure(-DSOCKSERV_AUTH=OFF)
if(NOT result EQUAL 0)
  message(FATAL_ERROR "without SOCKSERV_AUTH there must be no error: ${output}")
endif()
configure()
if(result EQUAL 0 OR NOT output MATCHES "sockserv::auth needs OpenSSL .* or set SOCKSERV_AUTH to OFF")
  message(FATAL_ERROR "the error must say that OpenSSL is missing, and what to do: ${output}")
endif()
configure(-DSOCKSERV_AUTH=OFF -DSOCKSERV_BUILD_TESTS=ON)
if(result EQUAL 0 OR NOT output MATCHES "tests, examples and benchmarks need SOCKSERV_AUTH")
  message(FATAL_ERROR "the error must say that the tests need SOCKSERV_AUTH: ${output}")
endif()
