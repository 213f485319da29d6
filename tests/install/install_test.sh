#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# install_test.sh STEP BUILD_TREE C++COMPILER
#   prefix        installs to BUILD_TREE/tests/install/prefix; the other steps look at what is there
#   contents      exactly the public headers, the libraries, the command; no flag of ours reaches users
#   find_package  a consumer builds by find_package and runs, needing only libc, libm and the C++ runtime
#   pkg_config    the same by pkg-config
#   components    the same with every component; one that does not exist is refused, and so is a wrong version
#   deb           the Debian package: its fields, its files, its command
set -euo pipefail

step=$1 build=$2 cxx=$3
source=$(cd "$(dirname "$0")/../.." && pwd)
scratch=$build/tests/install
prefix=$scratch/prefix
consumer=$source/tests/install/consumer

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

libdir() {
  dirname "$(find "$prefix" -name libnetrx.a)"
}

programs=(flow_hash own_device)

# Builds the consumer with the given settings in $scratch/NAME and runs its programs.
by_find_package() {
  local tree=$scratch/$1 program
  shift
  rm -rf "$tree"
  cmake -S "$consumer" -B "$tree" -G Ninja -DCMAKE_CXX_COMPILER="$cxx" -DCMAKE_PREFIX_PATH="$prefix" "$@"
  cmake --build "$tree"
  for program in "${programs[@]}"; do "$tree/$program"; done
}

by_pkg_config() {
  local tree=$scratch/$1 program flags
  shift
  rm -rf "$tree"
  mkdir -p "$tree"
  flags=$(PKG_CONFIG_PATH=$(libdir)/pkgconfig pkg-config --cflags --libs "$@")
  for program in "${programs[@]}"; do
    echo "+ $cxx -std=c++23 $program.cc $flags"
    # shellcheck disable=SC2086
    "$cxx" -std=c++23 -Wall -Wextra -Wpedantic -Wshadow -Werror "$consumer/$program.cc" -o "$tree/$program" $flags
    "$tree/$program"
  done
}

refused() {
  if by_find_package refused "$@" >"$scratch/refused.log" 2>&1; then
    fail "a consumer with $* was built, but find_package has to refuse it"
  fi
  grep -q "Could not find a configuration file\|but it set netrx_FOUND to FALSE" "$scratch/refused.log" || {
    cat "$scratch/refused.log" >&2
    fail "a consumer with $* failed for another reason than find_package refusing it"
  }
}

needed() {
  objdump -p "$1" | awk '$1 == "NEEDED" {print $2}'
}

needs_only_libc() {
  local extra
  extra=$(needed "$1" | grep -vE '^(libc|libm|libstdc\+\+|libgcc_s)\.so\.' || true)
  [[ -z $extra ]] || fail "$1 needs $extra; netrx::netrx links only libc and threads"
}

components() {
  find "$(libdir)" -name 'libnetrx-*.a' -printf '%f\n' | sed 's/^libnetrx-//; s/\.a$//' | sort
}

check_package() {
  local package=$1 root=$scratch/deb/root version library owner
  dpkg-deb -I "$package"
  dpkg-deb -c "$package"
  version=$(sed -n 's/^project(netrx VERSION \([0-9.]*\).*/\1/p' "$source/CMakeLists.txt")
  [[ $(dpkg-deb -f "$package" Package) == netrx ]] || fail "wrong name"
  [[ $(dpkg-deb -f "$package" Version) == "$version" ]] || fail "wrong version"
  [[ $(dpkg-deb -f "$package" Architecture) == $(dpkg --print-architecture) ]] || fail "wrong architecture"
  rm -rf "$root"
  dpkg-deb -x "$package" "$root"
  for file in bin/netrx include/netrx/flow.h lib/libnetrx.a lib/cmake/netrx/netrxConfig.cmake \
    lib/pkgconfig/netrx.pc share/doc/netrx/copyright; do
    compgen -G "$root/usr/$file" >/dev/null || fail "the package holds no /usr/$file"
  done
  for library in $(needed "$root/usr/bin/netrx"); do
    # Several packages may hold a library of this name, those for other architectures too: one of them must be named.
    owner=$(dpkg -S "*/$library" | sed 's/[:,].*//; s/+/[+]/g' | sort -u | paste -sd'|')
    dpkg-deb -f "$package" Depends | grep -qE "(^|, )($owner) \\(>= " ||
      fail "$library is needed, Depends names no $owner"
  done
  "$root/usr/bin/netrx" --version
  "$root/usr/bin/netrx" run --help >/dev/null
  # Installed by dpkg itself, into a root of its own, so that the maintainer fields and paths are those dpkg accepts.
  rm -rf "$scratch/deb/installed"
  mkdir -p "$scratch/deb/installed/var/lib/dpkg"/{info,updates}
  touch "$scratch/deb/installed/var/lib/dpkg/status"
  if [[ $EUID == 0 ]]; then
    dpkg --root="$scratch/deb/installed" --force-depends --log=/dev/null -i "$package"
    "$scratch/deb/installed/usr/bin/netrx" --version
  fi
}

case $step in
  prefix)
    rm -rf "$prefix"
    mkdir -p "$scratch"
    cmake --install "$build" --prefix "$prefix"
    ;;
  contents)
    diff <(cd "$source/include" && find . -name '*.h' | sort) <(cd "$prefix/include" && find . -type f | sort) ||
      fail "installed headers differ from include/"
    ! grep -rnE -- '-W|NETRX_VERIFY|-fsanitize' "$(libdir)"/{cmake,pkgconfig} || fail "our flags reach users"
    ! grep -rnF -- "$source" "$(libdir)"/{cmake,pkgconfig} || fail "the install points back into the source tree"
    [[ -f $prefix/share/doc/netrx/LICENSE ]] || fail "no LICENSE"
    if [[ -n $(find "$build" -path "$scratch" -prune -o -name netrx -type f -perm -u+x -print) ]]; then
      "$prefix/bin/netrx" --version
    fi
    ;;
  find_package)
    by_find_package found
    needs_only_libc "$scratch/found/own_device"
    ;;
  pkg_config)
    by_pkg_config packaged netrx
    needs_only_libc "$scratch/packaged/own_device"
    ;;
  components)
    for component in $(components); do
      by_find_package "with-$component" -DWANT_COMPONENTS="$component"
      by_pkg_config "packaged-$component" "netrx-$component"
    done
    refused -DWANT_COMPONENTS=no_such_device
    refused -DWANT_VERSION=99.0
    ;;
  deb)
    rm -rf "$scratch/deb"
    cpack --config "$build/CPackConfig.cmake" -G DEB -B "$scratch/deb"
    check_package "$(find "$scratch/deb" -maxdepth 1 -name 'netrx_*.deb')"
    ;;
  *)
    fail "no step named $step"
    ;;
esac
