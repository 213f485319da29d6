# SPDX-License-Identifier: Apache-2.0
# What users get: include/netrx/, libnetrx.a (all modules merged: libc and threads only), one library a component,
# the command, netrxConfig.cmake and the pkg-config files. Compiler warnings stay at home.

include(CMakePackageConfigHelpers)

# netrx::netrx, from the modules declared so far. Inside the tree, link the modules themselves.
function(netrx_merge_library)
  get_property(modules GLOBAL PROPERTY NETRX_MODULES)
  if(NOT modules)
    return()
  endif()
  set(objects)
  foreach(module ${modules})
    list(APPEND objects $<TARGET_OBJECTS:${module}>)
  endforeach()
  add_library(netrx_netrx STATIC ${objects})
  add_library(netrx::netrx ALIAS netrx_netrx)
  set_target_properties(netrx_netrx PROPERTIES OUTPUT_NAME netrx EXPORT_NAME netrx LINKER_LANGUAGE CXX)
  target_compile_features(netrx_netrx PUBLIC cxx_std_23)
  target_include_directories(netrx_netrx PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
                                                $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_link_libraries(netrx_netrx PUBLIC Threads::Threads)
endfunction()

# netrx.pc or netrx-<component>.pc, relocatable: its prefix is found from where the file lies.
function(netrx_pkg_config name description requires)
  set(folder ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
  file(RELATIVE_PATH up /prefix/${folder} /prefix)
  string(REGEX REPLACE "/$" "" up ${up})
  set(threads)
  if(name STREQUAL netrx)
    set(threads " -pthread")
  endif()
  file(WRITE ${PROJECT_BINARY_DIR}/${name}.pc
"prefix=\${pcfiledir}/${up}
libdir=\${prefix}/${CMAKE_INSTALL_LIBDIR}
includedir=\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}

Name: ${name}
Description: ${description}
Version: ${PROJECT_VERSION}
Requires: ${requires}
Libs: -L\${libdir} -l${name}${threads}
Cflags: -I\${includedir}${threads}
")
  install(FILES ${PROJECT_BINARY_DIR}/${name}.pc DESTINATION ${folder})
endfunction()

function(netrx_install_component name)
  set(folder ${CMAKE_INSTALL_LIBDIR}/cmake/netrx)
  get_target_property(packages netrx_${name} NETRX_PKG_CONFIG)
  install(TARGETS netrx_${name} EXPORT netrx-${name} ARCHIVE)
  install(EXPORT netrx-${name} NAMESPACE netrx:: FILE netrx-${name}.cmake DESTINATION ${folder})
  set(content "# ${name} needs: ${packages}\n")
  string(APPEND content "find_package(PkgConfig QUIET)\nset(netrx_${name}_FOUND \${PkgConfig_FOUND})\n")
  foreach(package ${packages})
    string(APPEND content "if(netrx_${name}_FOUND)\n"
           "  pkg_check_modules(${package} QUIET IMPORTED_TARGET ${package})\n"
           "  set(netrx_${name}_FOUND \${${package}_FOUND})\nendif()\n")
  endforeach()
  string(APPEND content "if(netrx_${name}_FOUND)\n  include(\${CMAKE_CURRENT_LIST_DIR}/netrx-${name}.cmake)\nendif()\n")
  file(WRITE ${PROJECT_BINARY_DIR}/netrx-${name}-component.cmake ${content})
  install(FILES ${PROJECT_BINARY_DIR}/netrx-${name}-component.cmake DESTINATION ${folder})
  string(REPLACE ";" " " requires "netrx;${packages}")
  netrx_pkg_config(netrx-${name} "netrx's ${name} device" "${requires}")
endfunction()

function(netrx_install)
  if(NOT TARGET netrx_netrx)
    return()
  endif()
  set(folder ${CMAKE_INSTALL_LIBDIR}/cmake/netrx)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/netrx DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
          FILES_MATCHING PATTERN "*.h")
  install(TARGETS netrx_netrx EXPORT netrx ARCHIVE)
  install(EXPORT netrx NAMESPACE netrx:: FILE netrxTargets.cmake DESTINATION ${folder})
  configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/netrxConfig.cmake.in
                                ${PROJECT_BINARY_DIR}/netrxConfig.cmake INSTALL_DESTINATION ${folder})
  write_basic_package_version_file(${PROJECT_BINARY_DIR}/netrxConfigVersion.cmake COMPATIBILITY SameMinorVersion)
  install(FILES ${PROJECT_BINARY_DIR}/netrxConfig.cmake ${PROJECT_BINARY_DIR}/netrxConfigVersion.cmake
          DESTINATION ${folder})
  netrx_pkg_config(netrx "${PROJECT_DESCRIPTION}" "")
  get_property(components GLOBAL PROPERTY NETRX_COMPONENTS)
  foreach(component ${components})
    netrx_install_component(${component})
  endforeach()

  foreach(command netrx netrx_cli)
    if(TARGET ${command})
      install(TARGETS ${command} RUNTIME)
    endif()
  endforeach()
  foreach(document README.md ARCHITECTURE.md LICENSE)
    if(EXISTS ${PROJECT_SOURCE_DIR}/${document})
      install(FILES ${document} DESTINATION ${CMAKE_INSTALL_DOCDIR})
    endif()
  endforeach()
  install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME copyright)  # where Debian looks for it
  include(NetrxPackage)
endfunction()
