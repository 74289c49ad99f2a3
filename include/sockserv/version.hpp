#pragma once

/// The version of these headers, for the preprocessor: major * 10000 + minor * 100 + patch.
#define SOCKSERV_VERSION 100

/// The same version as text.
#define SOCKSERV_VERSION_STRING "0.1.0"
