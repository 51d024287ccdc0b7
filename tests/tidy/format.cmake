# SPDX-License-Identifier: Apache-2.0
# Fails if clang-format would change a file.
cmake_minimum_required(VERSION 3.25)
set(found "")
if(CLANG_FORMAT)
  execute_process(COMMAND "${CLANG_FORMAT}" --version OUTPUT_VARIABLE found)
endif()
if(NOT found MATCHES "version ${VERSION}\\.")
  # The scripts count such a line as a skipped test.
  execute_process(COMMAND ${CMAKE_COMMAND} -E echo
    "SKIPPED: format: needs clang-format ${VERSION} (Debian: clang-format-${VERSION})")
  execute_process(COMMAND ${CMAKE_COMMAND} -E echo "millrace tests: 0 passed, 0 failed, 1 skipped")
  return()
endif()
file(GLOB_RECURSE files "${FOLDER}/include/*.hpp" "${FOLDER}/include/*.ipp"
     "${FOLDER}/tests/*.hpp" "${FOLDER}/tests/*.cpp" "${FOLDER}/examples/*.hpp"
     "${FOLDER}/examples/*.cpp" "${FOLDER}/benchmarks/*.hpp" "${FOLDER}/benchmarks/*.cpp")
execute_process(COMMAND "${CLANG_FORMAT}" --dry-run --Werror ${files}
                RESULT_VARIABLE status ERROR_VARIABLE text)
if(NOT status EQUAL 0)
  string(REGEX MATCHALL "[^\n]*code should be clang-formatted[^\n]*" places "${text}")
  list(TRANSFORM places REPLACE ":[0-9]+:[0-9]+: .*" "")
  list(REMOVE_DUPLICATES places)
  list(JOIN places "\n  " places)
  message(FATAL_ERROR "to be formatted with clang-format-${VERSION} -i:\n  ${places}")
endif()
