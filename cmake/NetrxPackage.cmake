# SPDX-License-Identifier: Apache-2.0
# `cpack` in a build tree writes netrx_<version>_<architecture>.deb: the command, the library, headers, manuals.

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME netrx)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "the Linux receive path as a library, a simulator and a command")
set(CPACK_PACKAGE_DESCRIPTION
"netrx takes packets from a device through NAPI, GRO, RPS/RFS and per-CPU
backlogs to the application's CPUs, deciding as the kernel decides. This
package holds the netrx command, the C++23 library (static) and its headers.")
set(CPACK_PACKAGE_CONTACT "netrx maintainers <netrx@localhost>")
set(CPACK_PACKAGE_VENDOR netrx)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "g++ (>= 4:12), cmake, pkg-config, libpcap-dev, libxdp-dev, libbpf-dev")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
include(CPack)
