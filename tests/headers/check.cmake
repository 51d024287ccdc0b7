# SPDX-License-Identifier: Apache-2.0
# Compiles each header of LAYER alone; "." are those directly in include/millrace.
cmake_minimum_required(VERSION 3.25)
include("${CMAKE_CURRENT_LIST_DIR}/../support/compile.cmake")

public_headers(headers)
if(LAYER STREQUAL ".")
  list(FILTER headers INCLUDE REGEX "^millrace/[^/]*$")
else()
  list(FILTER headers INCLUDE REGEX "^millrace/${LAYER}/")
endif()

set(broken "")
foreach(header IN LISTS headers)
  string(REPLACE "/" "_" name "${header}")
  file(CONFIGURE OUTPUT "${FOLDER}/${name}.cpp"
       CONTENT "#include <${header}>\n#include <${header}>\n")
  compile(status text -c ${name}.cpp -o ${name}.o)
  if(NOT status EQUAL 0)
    message(STATUS "${header} does not compile alone:\n${text}")
    list(APPEND broken "${header}")
  endif()
endforeach()
if(broken)
  message(FATAL_ERROR "headers that do not compile alone: ${broken}")
endif()
