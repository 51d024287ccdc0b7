# SPDX-License-Identifier: Apache-2.0
# How millrace's own developers build: never included when millrace is part of another project.

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Kind of build" FORCE)
endif()
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_CXX_EXTENSIONS OFF)

option(MILLRACE_USE_CCACHE "Compile through ccache if it is there" ON)
if(MILLRACE_USE_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  find_program(MILLRACE_CCACHE ccache)
  if(MILLRACE_CCACHE)
    set(CMAKE_CXX_COMPILER_LAUNCHER "${MILLRACE_CCACHE}")
  endif()
endif()

option(MILLRACE_USE_MOLD "Link with mold if it is there" ON)
if(MILLRACE_USE_MOLD)
  find_program(MILLRACE_MOLD mold)
  if(MILLRACE_MOLD)
    include(CheckLinkerFlag)
    check_linker_flag(CXX -fuse-ld=mold MILLRACE_MOLD_WORKS)
    if(MILLRACE_MOLD_WORKS)
      add_link_options(-fuse-ld=mold)
    endif()
  endif()
endif()

if(MILLRACE_SANITIZE)
  add_compile_options("-fsanitize=${MILLRACE_SANITIZE}" -fno-omit-frame-pointer)
  add_link_options("-fsanitize=${MILLRACE_SANITIZE}")
  if(MILLRACE_SANITIZE MATCHES undefined)
    add_compile_options(-fno-sanitize-recover=undefined)
  endif()
  if(MILLRACE_SANITIZE MATCHES thread AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # GCC warns wherever Asio uses a fence, which this sanitizer does not model.
    add_compile_options(-Wno-tsan)
  endif()
endif()

add_compile_options(-Wall -Wextra -Wconversion -Wshadow -Wpedantic)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC takes the frames of inlined Asio coroutines for memory from another allocator.
  add_compile_options(-Wno-mismatched-new-delete)
endif()
if(MILLRACE_WARNINGS_AS_ERRORS)
  add_compile_options(-Werror)
endif()
