# SPDX-License-Identifier: Apache-2.0
cmake_minimum_required(VERSION 3.25)
include("${CMAKE_CURRENT_LIST_DIR}/../support/compile.cmake")

public_headers(headers)
# What lies in detail/ comes with the headers it belongs to.
list(FILTER headers EXCLUDE REGEX "/detail/")
if(NOT MODE STREQUAL "compiled")
  # Optional components bring the headers of their libraries along.
  list(FILTER headers EXCLUDE REGEX "/connectors/(sqlite|postgresql)(/|\\.hpp)")
endif()
set(all "")
foreach(header IN LISTS headers)
  string(APPEND all "#include <${header}>\n")
endforeach()
file(CONFIGURE OUTPUT "${FOLDER}/all.hpp" CONTENT "#pragma once\n${all}")
file(CONFIGURE OUTPUT "${FOLDER}/one.cpp" CONTENT [[
#include "all.hpp"
const std::error_category& category_of_two();
int main() { return &category_of_two() == &millrace::millrace_category() ? 0 : 1; }
]])
file(CONFIGURE OUTPUT "${FOLDER}/two.cpp" CONTENT [[
#include "all.hpp"
const std::error_category& category_of_two();
const std::error_category& category_of_two() { return millrace::millrace_category(); }
]])
file(CONFIGURE OUTPUT "${FOLDER}/src.cpp" CONTENT "#include <millrace/src.hpp>\n")

set(units one two)
set(libraries ${MILLRACE_LIBRARIES})
if(MODE STREQUAL "compiled")
  cmake_path(GET MILLRACE_LIBRARY PARENT_PATH library_folder)
  list(PREPEND libraries "${MILLRACE_LIBRARY}" "-Wl,-rpath,${library_folder}")
elseif(MODE STREQUAL "header_only")
  list(APPEND flags -DMILLRACE_HEADER_ONLY)
else()
  list(APPEND units src)
endif()
set(objects "")
foreach(unit IN LISTS units)
  must_compile("all headers in one unit, ${MODE}" -c ${unit}.cpp -o ${unit}.o)
  list(APPEND objects ${unit}.o)
endforeach()
set(MILLRACE_LAUNCHER "")
must_compile("two units in one program, ${MODE}" ${objects} -o program ${libraries})
execute_process(COMMAND "${FOLDER}/program" RESULT_VARIABLE status)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "two units see two error categories: an inline variable or function is double")
endif()
