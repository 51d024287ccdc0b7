# SPDX-License-Identifier: Apache-2.0
# For tests that call the compiler themselves (cmake -P): it, and its flags, stand in the file
# COMPILER that tests/CMakeLists.txt writes into the build folder. They work in the folder FOLDER.
include("${COMPILER}")

set(flags -std=c++20 -O0 ${MILLRACE_WARNINGS} -Werror "-I${MILLRACE_INCLUDE}")
foreach(folder IN LISTS MILLRACE_SYSTEM)
  # A folder that the compiler knows must not be named: #include_next would miss the C headers.
  if(NOT folder STREQUAL MILLRACE_INCLUDE AND NOT folder IN_LIST MILLRACE_IMPLICIT)
    list(APPEND flags -isystem "${folder}")
  endif()
endforeach()
foreach(definition IN LISTS MILLRACE_DEFINITIONS)
  list(APPEND flags "-D${definition}")
endforeach()
file(MAKE_DIRECTORY "${FOLDER}")

# compile(<status> <text> <argument>...): exit status and output of one run of the compiler.
function(compile status text)
  execute_process(COMMAND ${MILLRACE_LAUNCHER} "${MILLRACE_CXX}" ${flags} ${ARGN}
    WORKING_DIRECTORY "${FOLDER}" RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  set(${status} "${result}" PARENT_SCOPE)
  set(${text} "${output}" PARENT_SCOPE)
endfunction()

# must_compile(<what> <argument>...): fails the test with "<what>" and what the compiler said.
function(must_compile what)
  compile(status text ${ARGN})
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${what}:\n${text}")
  endif()
endfunction()

# Sets `out` to all public headers as they are included, without src.hpp.
function(public_headers out)
  file(GLOB_RECURSE headers RELATIVE "${MILLRACE_INCLUDE}" "${MILLRACE_INCLUDE}/millrace/*.hpp")
  list(FILTER headers EXCLUDE REGEX "^millrace/src\\.hpp$")
  set(${out} "${headers}" PARENT_SCOPE)
endfunction()
