# SPDX-License-Identifier: Apache-2.0
# Finds what millrace needs, or fails with the name of the Debian package to install. Used by the
# build and, installed beside it, by the package's configuration file.

set(MILLRACE_BOOST_INCLUDE_DIR "" CACHE PATH
    "Folder that holds boost/version.hpp of Boost >= 1.81; empty: the environment variable of that \
name, or a search")

# Optional components: what each needs beside the core (CMake's name of the package, its least
# version, Debian's name; its target), and the folder of include/millrace it owns.
set(MILLRACE_OPTIONAL_COMPONENTS sqlite postgresql)
set(MILLRACE_sqlite_FOLDER connectors/sqlite)
set(MILLRACE_sqlite_PACKAGE SQLite3 3.26 libsqlite3-dev)
set(MILLRACE_sqlite_TARGET SQLite::SQLite3)
set(MILLRACE_postgresql_FOLDER connectors/postgresql)
set(MILLRACE_postgresql_PACKAGE PostgreSQL 12 libpq-dev)
set(MILLRACE_postgresql_TARGET PostgreSQL::PostgreSQL)

# Ends the configuration, or makes find_package(millrace) fail, with the reason.
macro(millrace_missing text)
  if(CMAKE_FIND_PACKAGE_NAME STREQUAL "millrace")
    set_property(GLOBAL APPEND_STRING PROPERTY MILLRACE_MISSING "${text}\n")
  else()
    message(FATAL_ERROR "${text}")
  endif()
endmacro()

# millrace_require(<package> <least version> <imported target> <Debian package>)
function(millrace_require package least target debian)
  if(NOT TARGET ${target})
    find_package(${package} QUIET)
  endif()
  if(NOT TARGET ${target})
    millrace_missing("millrace needs ${package} >= ${least}, which was not found. Install the \
package '${debian}' (apt-get install ${debian}).")
  elseif(${package}_VERSION AND ${package}_VERSION VERSION_LESS least)
    millrace_missing("millrace needs ${package} >= ${least}, but found ${${package}_VERSION}. \
Install a newer '${debian}'.")
  endif()
endfunction()

# Sets `version` to the version of the Boost headers in `folder`, or to nothing.
function(millrace_boost_version folder version)
  set(found "")
  if(EXISTS "${folder}/boost/version.hpp")
    file(STRINGS "${folder}/boost/version.hpp" line REGEX "^#define BOOST_LIB_VERSION ")
    string(REGEX MATCH "[0-9_]+[0-9]" found "${line}")
    string(REPLACE "_" "." found "${found}")
  endif()
  set(${version} "${found}" PARENT_SCOPE)
endfunction()

# Makes the target millrace::boost. Only headers are needed, so a folder is enough; a Boost that
# comes with a configuration file, or that the application has found already, is used as it is.
function(millrace_require_boost least)
  if(TARGET millrace::boost)
    return()
  endif()
  set(folder "${MILLRACE_BOOST_INCLUDE_DIR}")
  if(NOT folder)
    set(folder "$ENV{MILLRACE_BOOST_INCLUDE_DIR}")
  endif()
  if(NOT folder AND NOT TARGET Boost::headers)
    find_package(Boost ${least} CONFIG QUIET)
  endif()
  if(NOT folder AND TARGET Boost::headers)
    get_target_property(folder Boost::headers INTERFACE_INCLUDE_DIRECTORIES)
    list(GET folder 0 folder)
  elseif(NOT folder)
    find_path(MILLRACE_BOOST_SEARCHED boost/version.hpp
      HINTS "${Boost_INCLUDE_DIR}" "${Boost_ROOT}" "${BOOST_ROOT}" ENV BOOST_ROOT
            "${millrace_boost_hint}"
      PATH_SUFFIXES include)
    mark_as_advanced(MILLRACE_BOOST_SEARCHED)
    set(folder "${MILLRACE_BOOST_SEARCHED}")
  endif()

  millrace_boost_version("${folder}" found)
  if(NOT found OR found VERSION_LESS least)
    unset(MILLRACE_BOOST_SEARCHED CACHE)
    if(found)
      set(found ", but ${folder} holds ${found}")
    else()
      set(found ", which was not found")
    endif()
    millrace_missing("millrace needs the headers of Boost >= ${least}${found}. Install the package \
'libboost-dev' (Debian 13, Ubuntu 24.04). Debian 12 has the package 'libboost1.81-dev'; if it \
would remove an older Boost that you need, unpack it beside:
  apt-get download libboost1.81-dev && dpkg -x libboost1.81-dev_*.deb boost
and configure with -D MILLRACE_BOOST_INCLUDE_DIR=\$PWD/boost/usr/include")
    return()
  endif()
  add_library(millrace::boost INTERFACE IMPORTED GLOBAL)
  target_include_directories(millrace::boost INTERFACE "${folder}")
  set_property(GLOBAL PROPERTY MILLRACE_BOOST_FOLDER "${folder}")
  if(NOT CMAKE_FIND_PACKAGE_NAME)
    message(STATUS "millrace: Boost ${found} in ${folder}")
  endif()
endfunction()

function(millrace_find_component name)
  list(GET MILLRACE_${name}_PACKAGE 0 package)
  list(GET MILLRACE_${name}_PACKAGE 1 least)
  list(GET MILLRACE_${name}_PACKAGE 2 debian)
  millrace_require(${package} ${least} ${MILLRACE_${name}_TARGET} ${debian})
endfunction()

# What the core needs.
function(millrace_find_dependencies)
  set(CMAKE_THREAD_PREFER_PTHREAD TRUE)
  set(THREADS_PREFER_PTHREAD_FLAG TRUE)
  millrace_require(Threads 0 Threads::Threads libc6-dev)
  millrace_require_boost(1.81)
  millrace_require(simdjson 3.0 simdjson::simdjson libsimdjson-dev)
  millrace_require(fmt 9.0 fmt::fmt libfmt-dev)
  millrace_require(OpenSSL 3.0 OpenSSL::SSL libssl-dev)
endfunction()
