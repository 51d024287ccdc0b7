# SPDX-License-Identifier: Apache-2.0
# The targets. There is no src/: each impl/*.ipp becomes one translation unit in the build folder.

include(GNUInstallDirs)
set(MILLRACE_DEPENDENCIES
    millrace::boost simdjson::simdjson fmt::fmt OpenSSL::SSL OpenSSL::Crypto Threads::Threads)

# Components that need more than the core's packages; the core is everything outside their folders.
# They are described in MillraceDependencies.cmake and built when named here.
set(millrace_components_default "")
if(PROJECT_IS_TOP_LEVEL)
  set(millrace_components_default auto)
endif()
set(MILLRACE_COMPONENTS "${millrace_components_default}" CACHE STRING
    "Optional components to build (known: ${MILLRACE_OPTIONAL_COMPONENTS}); auto: those whose \
libraries are found")
if(MILLRACE_COMPONENTS STREQUAL "auto")
  set(MILLRACE_COMPONENTS "")
  foreach(component IN LISTS MILLRACE_OPTIONAL_COMPONENTS)
    list(GET MILLRACE_${component}_PACKAGE 0 package)
    list(GET MILLRACE_${component}_PACKAGE 1 least)
    list(GET MILLRACE_${component}_PACKAGE 2 debian)
    find_package(${package} ${least} QUIET)
    if(TARGET ${MILLRACE_${component}_TARGET})
      list(APPEND MILLRACE_COMPONENTS ${component})
    else()
      message(STATUS "millrace: without the component ${component}; it needs ${debian}")
    endif()
  endforeach()
endif()

# Sets `out` to the translation units of the .ipp files whose path matches `pattern`, made on the fly.
function(millrace_units out pattern)
  file(GLOB_RECURSE ipps CONFIGURE_DEPENDS RELATIVE "${PROJECT_SOURCE_DIR}/include"
       "${PROJECT_SOURCE_DIR}/include/millrace/*.ipp")
  set(units "")
  foreach(ipp IN LISTS ipps)
    if(NOT ipp MATCHES "${pattern}")
      continue()
    endif()
    string(REGEX REPLACE "\\.ipp$" ".cpp" unit "${PROJECT_BINARY_DIR}/units/${ipp}")
    file(CONFIGURE OUTPUT "${unit}" CONTENT "#include <${ipp}>\n" @ONLY)
    list(APPEND units "${unit}")
  endforeach()
  set(${out} "${units}" PARENT_SCOPE)
endfunction()

option(MILLRACE_UNITY_BUILD "Compile the library in a few large pieces, which takes less time" ON)

# millrace_library(<target> <component> <unit>...): a compiled library; none of it, an interface.
function(millrace_library target component)
  if(ARGN)
    add_library(${target} ${ARGN})
    set(scope PUBLIC)
    set_target_properties(${target} PROPERTIES
      VERSION "${PROJECT_VERSION}"
      SOVERSION "${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}"
      POSITION_INDEPENDENT_CODE ON
      UNITY_BUILD ${MILLRACE_UNITY_BUILD}
      UNITY_BUILD_BATCH_SIZE 8)
  else()
    add_library(${target} INTERFACE)
    set(scope INTERFACE)
  endif()
  add_library(millrace::${component} ALIAS ${target})
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${component})
  target_compile_features(${target} ${scope} cxx_std_20)
  target_include_directories(${target} ${scope}
    "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>"
    "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")
  target_link_libraries(${target} ${scope} ${MILLRACE_DEPENDENCIES})
endfunction()

# The folders of all optional components, as a pattern; by default one that matches nothing.
set(millrace_claimed "")
foreach(component IN LISTS MILLRACE_OPTIONAL_COMPONENTS)
  list(APPEND millrace_claimed "/${MILLRACE_${component}_FOLDER}/")
endforeach()
list(JOIN millrace_claimed "|" millrace_claimed)

millrace_units(millrace_core_units ".")
if(millrace_claimed)
  list(FILTER millrace_core_units EXCLUDE REGEX "${millrace_claimed}")
endif()
millrace_library(millrace millrace ${millrace_core_units})
millrace_library(millrace_header_only header_only)
target_compile_definitions(millrace_header_only INTERFACE MILLRACE_HEADER_ONLY)

foreach(component IN LISTS MILLRACE_COMPONENTS)
  if(NOT component IN_LIST MILLRACE_OPTIONAL_COMPONENTS)
    message(FATAL_ERROR "MILLRACE_COMPONENTS: there is no component '${component}'. "
                        "Known: ${MILLRACE_OPTIONAL_COMPONENTS}")
  endif()
  millrace_find_component(${component})
  millrace_units(units "/${MILLRACE_${component}_FOLDER}/")
  millrace_library(millrace_${component} ${component} ${units})
  target_link_libraries(millrace_${component} PUBLIC
    millrace ${MILLRACE_${component}_TARGET})
endforeach()
