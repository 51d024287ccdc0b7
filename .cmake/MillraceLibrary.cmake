# SPDX-License-Identifier: Apache-2.0
# The targets. There is no src/: each impl/*.ipp becomes one translation unit in the build folder.

set(MILLRACE_DEPENDENCIES
    millrace::boost simdjson::simdjson fmt::fmt OpenSSL::SSL OpenSSL::Crypto Threads::Threads)

file(GLOB_RECURSE millrace_ipps CONFIGURE_DEPENDS RELATIVE "${PROJECT_SOURCE_DIR}/include"
     "${PROJECT_SOURCE_DIR}/include/millrace/*.ipp")

set(millrace_units "")
foreach(ipp IN LISTS millrace_ipps)
  string(REGEX REPLACE "\\.ipp$" ".cpp" unit "${PROJECT_BINARY_DIR}/units/${ipp}")
  file(CONFIGURE OUTPUT "${unit}" CONTENT "#include <${ipp}>\n" @ONLY)
  list(APPEND millrace_units "${unit}")
endforeach()

add_library(millrace ${millrace_units})
add_library(millrace::millrace ALIAS millrace)
target_compile_features(millrace PUBLIC cxx_std_20)
target_include_directories(millrace PUBLIC
  "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>")
target_link_libraries(millrace PUBLIC ${MILLRACE_DEPENDENCIES})
set_target_properties(millrace PROPERTIES
  VERSION "${PROJECT_VERSION}"
  SOVERSION "${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}"
  POSITION_INDEPENDENT_CODE ON)

add_library(millrace_header_only INTERFACE)
add_library(millrace::header_only ALIAS millrace_header_only)
target_compile_features(millrace_header_only INTERFACE cxx_std_20)
target_compile_definitions(millrace_header_only INTERFACE MILLRACE_HEADER_ONLY)
target_include_directories(millrace_header_only INTERFACE
  "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>")
target_link_libraries(millrace_header_only INTERFACE ${MILLRACE_DEPENDENCIES})
set_target_properties(millrace_header_only PROPERTIES EXPORT_NAME header_only)
