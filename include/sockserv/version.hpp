#pragma once

/// The version of these headers, for the preprocessor: major * 10000 + minor * 100 + patch.
#define SOCKSERV_VERSION 100

/// The same version as text.
#define SOCKSERV_VERSION_STRING "0.1.0"

/// The inline namespace `sockserv::abi_0`, which programs never write, has the number of the ABI. It changes with each
/// release that breaks the ABI, so a program and a library that do not fit each other fail to link.
