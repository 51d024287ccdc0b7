# SPDX-License-Identifier: Apache-2.0
# Headers, libraries, the CMake package (a file of targets per component) and the pkg-config file.

include(CMakePackageConfigHelpers)
set(millrace_package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/millrace")

install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
        FILES_MATCHING PATTERN "*.hpp" PATTERN "*.ipp")
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DOCDIR}")

function(millrace_install_component component target)
  install(TARGETS ${target} EXPORT millrace-${component})
  install(EXPORT millrace-${component} NAMESPACE millrace:: DESTINATION "${millrace_package_dir}"
          FILE millrace-${component}.cmake)
endfunction()
millrace_install_component(core millrace)
millrace_install_component(header_only millrace_header_only)
foreach(component IN LISTS MILLRACE_COMPONENTS)
  millrace_install_component(${component} millrace_${component})
endforeach()

get_property(millrace_boost_folder GLOBAL PROPERTY MILLRACE_BOOST_FOLDER)
configure_package_config_file(
  "${PROJECT_SOURCE_DIR}/.cmake/millrace-config.cmake.in"
  "${PROJECT_BINARY_DIR}/package/millrace-config.cmake"
  INSTALL_DESTINATION "${millrace_package_dir}"
  NO_SET_AND_CHECK_MACRO NO_CHECK_REQUIRED_COMPONENTS_MACRO)
# Before 1.0 a minor version may change anything.
if(PROJECT_VERSION_MAJOR EQUAL 0)
  set(millrace_compatibility SameMinorVersion)
else()
  set(millrace_compatibility SameMajorVersion)
endif()
write_basic_package_version_file("${PROJECT_BINARY_DIR}/package/millrace-config-version.cmake"
  COMPATIBILITY ${millrace_compatibility})
install(FILES
  "${PROJECT_BINARY_DIR}/package/millrace-config.cmake"
  "${PROJECT_BINARY_DIR}/package/millrace-config-version.cmake"
  "${PROJECT_SOURCE_DIR}/.cmake/MillraceDependencies.cmake"
  DESTINATION "${millrace_package_dir}")

# A shared library brings its own libraries along; a static one needs them named on every link line.
set(millrace_pc_requires "simdjson >= 3.0, fmt >= 9.0, openssl >= 3.0")
if(BUILD_SHARED_LIBS)
  set(millrace_pc_requires "Requires.private: ${millrace_pc_requires}")
else()
  set(millrace_pc_requires "Requires: ${millrace_pc_requires}")
endif()
set(millrace_pc_boost "")
if(NOT millrace_boost_folder IN_LIST CMAKE_CXX_IMPLICIT_INCLUDE_DIRECTORIES)
  set(millrace_pc_boost " -isystem ${millrace_boost_folder}")
endif()
cmake_path(IS_ABSOLUTE CMAKE_INSTALL_LIBDIR millrace_libdir_is_absolute)
if(millrace_libdir_is_absolute)
  set(millrace_pc_prefix "${CMAKE_INSTALL_PREFIX}")
  set(millrace_pc_libdir "${CMAKE_INSTALL_LIBDIR}")
else()
  # Relocatable: relative to where the .pc file lies.
  set(here "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
  cmake_path(RELATIVE_PATH CMAKE_CURRENT_SOURCE_DIR
             BASE_DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}/${here}" OUTPUT_VARIABLE up)
  set(millrace_pc_prefix "\${pcfiledir}/${up}")
  set(millrace_pc_libdir "\${prefix}/${CMAKE_INSTALL_LIBDIR}")
endif()
configure_file("${PROJECT_SOURCE_DIR}/.cmake/millrace.pc.in"
               "${PROJECT_BINARY_DIR}/package/millrace.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/package/millrace.pc"
        DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
