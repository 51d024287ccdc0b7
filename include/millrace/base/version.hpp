// SPDX-License-Identifier: Apache-2.0
/// \file
/// The library's version; CMake reads it from here.
#pragma once

#define MILLRACE_VERSION_MAJOR 0
#define MILLRACE_VERSION_MINOR 1
#define MILLRACE_VERSION_PATCH 0
#define MILLRACE_VERSION_STRING "0.1.0"
