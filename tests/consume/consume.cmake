# SPDX-License-Identifier: Apache-2.0
# One way to use millrace; see CMakeLists.txt. Works in FOLDER and does not touch BUILD.
cmake_minimum_required(VERSION 3.25)
include("${COMPILER}")
set(PROGRAM "${CMAKE_CURRENT_LIST_DIR}/program")

function(run what)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE text ERROR_VARIABLE text)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${what} failed (${status}):\n${text}")
  endif()
  set(text "${text}" PARENT_SCOPE)
endfunction()

set(cmake_arguments -G "${GENERATOR}" "-DCMAKE_CXX_COMPILER=${MILLRACE_CXX}"
    "-DCMAKE_CXX_COMPILER_LAUNCHER=${MILLRACE_LAUNCHER}")

# Configures a consumer's project in `folder`, builds all of it and runs the program.
function(build_and_run folder)
  run("configuring" ${CMAKE_COMMAND} -S "${PROGRAM}" -B "${folder}" ${cmake_arguments} ${ARGN})
  run("building" ${CMAKE_COMMAND} --build "${folder}" -j 2)
  run("running" "${folder}/consumer")
  if(NOT text MATCHES "millrace ${VERSION}")
    message(FATAL_ERROR "unexpected output: ${text}")
  endif()
  if(EXISTS "${folder}/sketch")
    run("running the program of the README" "${folder}/sketch")
  endif()
endfunction()

# Installs the library of this build, and moves it: the package must not know where it was made.
function(install_to prefix)
  file(REMOVE_RECURSE "${prefix}" "${prefix}.made")
  run("installing" ${CMAKE_COMMAND} --install "${BUILD}" --config "${CONFIG}"
      --prefix "${prefix}.made")
  file(RENAME "${prefix}.made" "${prefix}")
endfunction()

# The consumer's project as a sub-project must get the library, and nothing that is only ours.
function(expect_only_library folder)
  run("listing targets" ${CMAKE_COMMAND} --build "${folder}" --target help)
  if(text MATCHES "test_|tidy|bike_stations|example_|bench_")
    message(FATAL_ERROR "a sub-project must not build tests or examples:\n${text}")
  endif()
endfunction()

file(REMOVE_RECURSE "${FOLDER}")
file(MAKE_DIRECTORY "${FOLDER}")

if(MODE STREQUAL "find_package")
  install_to("${FOLDER}/prefix")
  foreach(target millrace header_only)
    build_and_run("${FOLDER}/${target}" -DHOW=find_package -DTARGET=millrace::${target}
      "-DCMAKE_PREFIX_PATH=${FOLDER}/prefix" "-DMILLRACE_BOOST_INCLUDE_DIR=${BOOST}")
  endforeach()
  # Optional components, those that this build has.
  foreach(component sqlite postgresql)
    file(GLOB_RECURSE installed "${FOLDER}/prefix/*/millrace-${component}.cmake")
    if(installed)
      build_and_run("${FOLDER}/${component}" -DHOW=find_package -DTARGET=millrace::${component}
        -DCOMPONENTS=${component} "-DCMAKE_PREFIX_PATH=${FOLDER}/prefix"
        "-DMILLRACE_BOOST_INCLUDE_DIR=${BOOST}")
    endif()
  endforeach()

elseif(MODE STREQUAL "unknown_component")
  install_to("${FOLDER}/prefix")
  execute_process(
    COMMAND ${CMAKE_COMMAND} -S "${PROGRAM}" -B "${FOLDER}/build" ${cmake_arguments}
            -DHOW=find_package -DTARGET=millrace::millrace -DCOMPONENTS=rocket
            "-DCMAKE_PREFIX_PATH=${FOLDER}/prefix" "-DMILLRACE_BOOST_INCLUDE_DIR=${BOOST}"
    RESULT_VARIABLE status OUTPUT_VARIABLE text ERROR_VARIABLE text)
  string(REGEX REPLACE "[ \n]+" " " text "${text}")
  if(status EQUAL 0 OR NOT text MATCHES
     "installed without a component 'rocket'. This installation has: core, header_only")
    message(FATAL_ERROR "the message about an unknown component is not clear:\n${text}")
  endif()

elseif(MODE STREQUAL "missing_package")
  # A package that cannot be found: the message names what to install.
  foreach(case simdjson:libsimdjson-dev fmt:libfmt-dev OpenSSL:libssl-dev)
    string(REGEX MATCH "^[^:]+" package "${case}")
    string(REGEX MATCH "[^:]+$" debian "${case}")
    execute_process(
      COMMAND ${CMAKE_COMMAND} -S "${SOURCE}" -B "${FOLDER}/${package}" ${cmake_arguments}
              "-DMILLRACE_BOOST_INCLUDE_DIR=${BOOST}" -DCMAKE_DISABLE_FIND_PACKAGE_${package}=ON
      RESULT_VARIABLE status OUTPUT_VARIABLE text ERROR_VARIABLE text)
    string(REGEX REPLACE "[ \n]+" " " text "${text}")
    if(status EQUAL 0 OR NOT text MATCHES "apt-get install ${debian}")
      message(FATAL_ERROR "without ${package} the message must name ${debian}:\n${text}")
    endif()
  endforeach()
  execute_process(
    COMMAND ${CMAKE_COMMAND} -S "${SOURCE}" -B "${FOLDER}/boost" ${cmake_arguments}
            "-DMILLRACE_BOOST_INCLUDE_DIR=${FOLDER}"
    RESULT_VARIABLE status OUTPUT_VARIABLE text ERROR_VARIABLE text)
  if(status EQUAL 0 OR NOT text MATCHES "libboost-dev" OR NOT text MATCHES "libboost1.81-dev")
    message(FATAL_ERROR "without Boost the message must name its packages:\n${text}")
  endif()

elseif(MODE STREQUAL "pkg_config")
  find_program(pkg_config NAMES pkg-config pkgconf)
  if(NOT pkg_config)
    execute_process(COMMAND ${CMAKE_COMMAND} -E echo "SKIPPED: consume: needs pkg-config")
    execute_process(COMMAND ${CMAKE_COMMAND} -E echo "millrace tests: 0 passed, 0 failed, 1 skipped")
    return()
  endif()
  install_to("${FOLDER}/prefix")
  file(GLOB_RECURSE pc "${FOLDER}/prefix/*/millrace.pc")
  cmake_path(GET pc PARENT_PATH pc_folder)
  set(ENV{PKG_CONFIG_PATH} "${pc_folder}:$ENV{PKG_CONFIG_PATH}")
  run("pkg-config" "${pkg_config}" --cflags --libs millrace)
  separate_arguments(flags UNIX_COMMAND "${text}")
  run("compiling by hand" "${MILLRACE_CXX}" -std=c++20 "${PROGRAM}/main.cpp" ${flags}
      -o "${FOLDER}/consumer")
  run("running" "${FOLDER}/consumer")

elseif(MODE STREQUAL "add_subdirectory")
  # Header-only: configures everything, compiles one file.
  build_and_run("${FOLDER}/build" -DHOW=add_subdirectory -DTARGET=millrace::header_only
    "-DSOURCE=${SOURCE}" "-DMILLRACE_BOOST_INCLUDE_DIR=${BOOST}")
  expect_only_library("${FOLDER}/build")

elseif(MODE STREQUAL "fetch_content")
  build_and_run("${FOLDER}/build" -DHOW=fetch_content -DTARGET=millrace::millrace
    "-DSOURCE=${SOURCE}" "-DMILLRACE_BOOST_INCLUDE_DIR=${BOOST}")
  expect_only_library("${FOLDER}/build")

elseif(MODE STREQUAL "install_shared")
  # A shared library, installed; its users link it alone.
  run("configuring" ${CMAKE_COMMAND} -S "${SOURCE}" -B "${FOLDER}/library" ${cmake_arguments}
      -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS_DEBUG=-O0 -DBUILD_SHARED_LIBS=ON
      -DMILLRACE_BUILD_TESTS=OFF -DMILLRACE_BUILD_EXAMPLES=OFF
      "-DMILLRACE_BOOST_INCLUDE_DIR=${BOOST}")
  run("building" ${CMAKE_COMMAND} --build "${FOLDER}/library" -j 2)
  set(BUILD "${FOLDER}/library")
  install_to("${FOLDER}/prefix")
  build_and_run("${FOLDER}/build" -DHOW=find_package -DTARGET=millrace::millrace
    "-DCMAKE_PREFIX_PATH=${FOLDER}/prefix" "-DMILLRACE_BOOST_INCLUDE_DIR=${BOOST}")
  find_program(pkg_config NAMES pkg-config pkgconf)
  if(pkg_config)
    file(GLOB_RECURSE pc "${FOLDER}/prefix/*/millrace.pc")
    cmake_path(GET pc PARENT_PATH pc_folder)
    set(ENV{PKG_CONFIG_PATH} "${pc_folder}:$ENV{PKG_CONFIG_PATH}")
    run("pkg-config" "${pkg_config}" --libs millrace)
    if(text MATCHES "-lssl")
      message(FATAL_ERROR "users of the shared library must not link its own libraries: ${text}")
    endif()
  endif()

else()
  message(FATAL_ERROR "unknown MODE ${MODE}")
endif()
